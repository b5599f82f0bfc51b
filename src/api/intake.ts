/**
 * The one door for exports, whatever protocol brings them: admission, body, JSON, storing, counting. HTTP and gRPC differ
 * only in how they read a request and write an answer.
 */
import { QuorateError } from '../errors.ts';
import type { ClientLimits } from '../limits.ts';
import { type DecodedExport, JsonError } from '../otlp/json-decode.ts';
import type { OtlpEncoding } from '../otlp/responses.ts';
import type { TraceStore } from '../traces/trace-store.ts';
import { Admission, type Reservation } from './admission.ts';
import type { JsonWork } from './json-work.ts';
import type { Meters, Protocol } from './meters.ts';
import { type Body, noRoom, readBody, type ReadBody, tooLarge, unannouncedBytes } from './request-body.ts';
import { RequestBuffers } from './request-buffers.ts';

export interface IntakeOptions {
  readonly store: Pick<TraceStore, 'write' | 'refusal'>;
  readonly json: Pick<JsonWork, 'decode'>;
  readonly limits: ClientLimits;
  readonly meters: Meters;
}

export interface IncomingExport {
  readonly protocol: Protocol;
  readonly encoding: OtlpEncoding;
  readonly body: Body;
}

/** What an acknowledgement says: nothing but zero and '' when every span was taken. */
export interface Acknowledgement {
  readonly rejectedSpans: number;
  readonly message: string;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #admission: Admission;
  readonly #buffers = new RequestBuffers();

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#admission = new Admission(options.limits.admissionBytesMax);
  }

  /** Bytes of all requests being read, inflated and built. */
  get admittedBytes(): number {
    return this.#admission.bytes;
  }

  /** Resolves once all spans that can be taken are committed. Rejects with a `QuorateError`; before the body is read when there is no room for it. */
  async take({ protocol, encoding, body }: IncomingExport): Promise<Acknowledgement> {
    const { store, limits, meters } = this.#options;
    // What can never be taken is told so even when there is no room.
    if ((body.announcedBytes ?? 0) > limits.requestBytesMax) throw tooLarge(limits.requestBytesMax);
    const { refusal } = store;
    if (refusal !== null) throw refusal;
    const reservation = this.#admission.admit(body.announcedBytes ?? unannouncedBytes);
    if (reservation === null) throw noRoom();
    try {
      const { bytes, receivedBytes } = await this.#read(body, reservation);
      meters.received(protocol, { received: receivedBytes, inflated: bytes.length });
      const { request, hint } =
        encoding === 'json' ? await this.#fromJson(bytes, reservation) : { request: bytes, hint: null };
      const { accepted, rejected, firstReason, byFault } = await store.write(request);
      // All of it is in blocks. Where that is not known, something may still point into it.
      this.#buffers.give(bytes);
      meters.spans(accepted, byFault);
      // A hint without a rejection is a warning: something of the request is ignored that was meant.
      const message = [firstReason, hint].filter((part) => part !== null).join('; ');
      return { rejectedSpans: rejected, message };
    } finally {
      reservation.release();
    }
  }

  #read(body: Body, reservation: Reservation): Promise<ReadBody> {
    const { coding, announcedBytes, fill } = body;
    if (coding !== null || announcedBytes === null || fill === undefined)
      return readBody(body, this.#options.limits, reservation.grow);
    const bytes = this.#buffers.take(announcedBytes, reservation.grow);
    return fill(bytes).then(() => ({ bytes, receivedBytes: announcedBytes }));
  }

  async #fromJson(text: Uint8Array, reservation: Reservation): Promise<DecodedExport> {
    // Protobuf is at most as long as its JSON, and mostly half.
    if (!reservation.grow(Math.ceil(text.length * 1.5))) throw noRoom();
    try {
      return await this.#options.json.decode(text, this.#options.limits);
    } catch (error) {
      if (error instanceof JsonError) throw new QuorateError('bad-request', error.message);
      throw error;
    }
  }
}
