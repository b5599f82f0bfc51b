/**
 * JSON for whoever sends or asks for it, and where it is made (protocol D4): a little between turns of the main thread, a
 * lot by threads, one that makes it and one that reads it, started when they are needed and ended when nobody needed them for a
 * while. JSON costs about ten times what the spans behind it cost in protobuf, so a large answer made here would delay
 * heartbeats and other lookups.
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { type DecodedExport, exportFromJson } from '../otlp/json-decode.ts';
import { encodingJson, joining } from '../otlp/json-encode.ts';
import type { Clock } from '../platform/clock.ts';
import type { Executor } from '../platform/executor.ts';
import type { DecodeLimits } from './json-messages.ts';
import { JsonThread } from './json-thread.ts';

export interface JsonWorkOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly executor: Executor;
  readonly logger: Logger;
  /** The threads' code; tests have one that fails. */
  readonly workerUrl?: URL;
}

export class JsonWork {
  readonly #executor: Executor;
  /** At leisure: who sends JSON waits for an acknowledgement like everybody who sends, who asks for a large answer can wait. */
  readonly #maker: ThreadWhenNeeded;
  readonly #reader: ThreadWhenNeeded;

  constructor(options: JsonWorkOptions) {
    this.#executor = options.executor;
    this.#maker = new ThreadWhenNeeded(options, limits.jsonNice);
    this.#reader = new ThreadWhenNeeded(options, 0);
  }

  /**
   * The OTLP JSON of TracesData bytes, which are given away: as text, or a large one in chunks of UTF-8 made as they are taken.
   * Leaving the iteration early ends the work.
   */
  async encode(traces: Uint8Array): Promise<string | AsyncIterable<Uint8Array>> {
    if (traces.length < limits.jsonInlineBytesMax) return this.#executor.run(joining(encodingJson(traces)));
    return this.#maker.thread().encode(traces);
  }

  /** `exportFromJson` of a body, which is given away. Rejects with JsonError. */
  async decode(body: Uint8Array, decodeLimits: DecodeLimits): Promise<DecodedExport> {
    if (body.length < limits.jsonInlineBytesMax) return exportFromJson(body, decodeLimits);
    return this.#reader.thread().decode(body, decodeLimits);
  }

  /** Ends the threads. What is under way rejects. */
  async close(): Promise<void> {
    await Promise.all([this.#maker.close(), this.#reader.close()]);
  }
}

/** A thread that is there while somebody needs it. */
class ThreadWhenNeeded {
  readonly #options: JsonWorkOptions;
  readonly #nice: number;
  #thread: JsonThread | null = null;
  #wasNeeded = false;
  #closed = false;
  #cancelLook: () => void = () => {};

  constructor(options: JsonWorkOptions, nice: number) {
    this.#options = options;
    this.#nice = nice;
  }

  thread(): JsonThread {
    if (this.#closed) throw new QuorateError('not-ready', 'JSON is no longer made: the node is stopping');
    this.#wasNeeded = true;
    return this.#thread ?? this.#start();
  }

  #start(): JsonThread {
    const failed = (error: Error): void => {
      this.#cancelLook();
      this.#thread = null;
      this.#options.logger.error(
        { error: error.message },
        'the JSON thread failed; the next to need it starts another',
      );
    };
    const thread = new JsonThread(failed, { nice: this.#nice, url: this.#options.workerUrl });
    this.#thread = thread;
    this.#endWhenIdle(thread);
    return thread;
  }

  /** Ends the thread, and so gives its heap back, once nobody needed it from one look to the next. */
  #endWhenIdle(thread: JsonThread): void {
    this.#cancelLook = this.#options.clock.after(limits.jsonThreadIdleMs, () => {
      if (this.#wasNeeded || thread.isInUse) {
        this.#wasNeeded = false;
        this.#endWhenIdle(thread);
        return;
      }
      this.#thread = null;
      void thread.close();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelLook();
    await this.#thread?.close();
  }
}
