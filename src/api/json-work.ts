/**
 * JSON for whoever sends or asks for it, and where it is made (protocol D4): a little between turns of the main thread, a
 * lot by threads that are started when they are first needed and kept, one to make it and one to read it. JSON costs about
 * ten times what the spans behind it cost in protobuf, so a large answer made here would delay heartbeats and other lookups.
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { type DecodedExport, exportFromJson } from '../otlp/json-decode.ts';
import { encodingJson, joining } from '../otlp/json-encode.ts';
import type { Executor } from '../platform/executor.ts';
import type { DecodeLimits } from './json-messages.ts';
import { JsonThread } from './json-thread.ts';

type Kind = 'make' | 'read';

export interface JsonWorkOptions {
  readonly executor: Executor;
  readonly logger: Logger;
  /** The thread's code; tests have one that fails. */
  readonly workerUrl?: URL;
}

export class JsonWork {
  readonly #options: JsonWorkOptions;
  /** Text is made at leisure; whoever sends it waits for an acknowledgement, like everybody who sends. */
  readonly #threads: Record<Kind, JsonThread | null> = { make: null, read: null };
  #closed = false;

  constructor(options: JsonWorkOptions) {
    this.#options = options;
  }

  /**
   * The OTLP JSON of TracesData bytes, which are given away: as text, or a large one in chunks of UTF-8 made as they are taken.
   * Leaving the iteration early ends the work.
   */
  async encode(traces: Uint8Array): Promise<string | AsyncIterable<Uint8Array>> {
    if (traces.length < limits.jsonInlineBytesMax) return this.#options.executor.run(joining(encodingJson(traces)));
    return this.#startedThread('make').encode(traces);
  }

  /** `exportFromJson` of a body, which is given away. Rejects with JsonError. */
  async decode(body: Uint8Array, decodeLimits: DecodeLimits): Promise<DecodedExport> {
    if (body.length < limits.jsonInlineBytesMax) return exportFromJson(body, decodeLimits);
    return this.#startedThread('read').decode(body, decodeLimits);
  }

  /** Ends the threads. What is under way rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Object.values(this.#threads).map(async (thread) => thread?.close()));
  }

  #startedThread(kind: Kind): JsonThread {
    if (this.#closed) throw new QuorateError('not-ready', 'JSON is no longer made: the node is stopping');
    const failed = (error: Error): void => {
      this.#threads[kind] = null;
      this.#options.logger.error(
        { error: error.message },
        'the JSON thread failed; the next to need it starts another',
      );
    };
    return (this.#threads[kind] ??= new JsonThread(failed, {
      nice: kind === 'make' ? limits.jsonNice : 0,
      url: this.#options.workerUrl,
    }));
  }
}
