/**
 * One worker thread that makes and reads JSON, as questions with answers. Once it failed or was closed, every question is
 * answered by an error.
 */
import { Worker } from 'node:worker_threads';
import { errorOf, QuorateError } from '../errors.ts';
import { type DecodedExport, JsonError } from '../otlp/json-decode.ts';
import {
  type Chunk,
  type DecodeLimits,
  type FromWorker,
  owned,
  type ToWorker,
  type WorkerData,
} from './json-messages.ts';

interface Question {
  readonly resolve: (answer: FromWorker) => void;
  readonly reject: (error: Error) => void;
}

export interface JsonThreadOptions {
  readonly nice?: number;
  readonly url?: URL | undefined;
}

/** Megabytes. What it makes is short-lived and flat: a larger young generation only takes memory (docs/memory.md). */
const youngGenerationMb = 3;
const workerUrl = new URL('json-worker.ts', import.meta.url);

export class JsonThread {
  readonly #worker: Worker;
  readonly #questions = new Map<number, Question>();
  #numbers = 0;
  #textsUnderWay = 0;
  #failure: Error | null = null;

  /** `failed` is called once when the thread ends by itself. `nice`: how far below the rest of the process it stands, on Linux. */
  constructor(failed: (error: Error) => void, { nice = 0, url = workerUrl }: JsonThreadOptions = {}) {
    this.#worker = new Worker(url, {
      name: 'json',
      workerData: { nice } satisfies WorkerData,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    // A node that stops does not wait for it.
    this.#worker.unref();
    const fail = (error: Error): void => {
      if (this.#failure !== null) return;
      this.#end(error);
      failed(error);
    };
    this.#worker.on('message', (message: FromWorker) => this.#answered(message));
    this.#worker.on('error', (error) => fail(errorOf(error)));
    this.#worker.on('messageerror', fail);
    this.#worker.on('exit', (code) => fail(new Error(`the JSON thread ended with code ${code}`)));
  }

  /** Somebody waits for it, or has a text of which more is to come. */
  get isInUse(): boolean {
    return this.#textsUnderWay > 0 || this.#questions.size > 0;
  }

  /** The JSON text of TracesData in chunks of UTF-8; each is made while the one before is taken. The bytes are gone afterwards. */
  async *encode(traces: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
    const text = this.#nextNumber();
    const bytes = owned(traces);
    let next = this.#chunk({ kind: 'encode', number: this.#nextNumber(), text, traces: bytes }, [bytes.buffer]);
    this.#textsUnderWay += 1;
    let isLast = false;
    try {
      while (!isLast) {
        const chunk = await next;
        isLast = chunk.isLast;
        if (!isLast) {
          next = this.#chunk({ kind: 'more', number: this.#nextNumber(), text });
          // Who goes away now never asks what became of it.
          next.catch(() => undefined);
        }
        yield chunk.bytes;
      }
    } finally {
      if (!isLast) this.#worker.postMessage({ kind: 'forget', text } satisfies ToWorker, []);
      this.#textsUnderWay -= 1;
    }
  }

  /** What `exportFromJson` makes of the body; rejects with its JsonError. The bytes are gone afterwards. */
  async decode(body: Uint8Array, { anyValueDepthMax }: DecodeLimits): Promise<DecodedExport> {
    const bytes = owned(body);
    const limits = { anyValueDepthMax };
    const answer = await this.#ask({ kind: 'decode', number: this.#nextNumber(), body: bytes, limits }, [bytes.buffer]);
    if (answer.kind !== 'decoded') throw new Error(`the JSON thread answered ${answer.kind}`);
    return answer.decoded;
  }

  async close(): Promise<void> {
    this.#end(new Error('the JSON thread is closed'));
    await this.#worker.terminate();
  }

  async #chunk(message: ToWorker & { readonly number: number }, buffers: ArrayBuffer[] = []): Promise<Chunk> {
    const answer = await this.#ask(message, buffers);
    if (answer.kind !== 'chunk') throw new Error(`the JSON thread answered ${answer.kind}`);
    return answer.chunk;
  }

  #ask(message: ToWorker & { readonly number: number }, buffers: ArrayBuffer[]): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#questions.set(message.number, { resolve, reject });
      this.#worker.postMessage(message, buffers);
    });
  }

  #answered(message: FromWorker): void {
    const question = this.#questions.get(message.number);
    this.#questions.delete(message.number);
    if (message.kind !== 'failed') question?.resolve(message);
    else question?.reject(message.name === 'JsonError' ? new JsonError(message.message) : new Error(message.message));
  }

  #end(error: Error): void {
    // Nobody's request is to blame: the next thread may do it.
    this.#failure ??= new QuorateError('unavailable', `${error.message}: send it again`);
    for (const { reject } of this.#questions.values()) reject(this.#failure);
    this.#questions.clear();
  }

  #nextNumber(): number {
    this.#numbers += 1;
    return this.#numbers;
  }
}
