/**
 * Fills appends with their entries and sends them, in order per follower. Newest entries come from memory; older ones are
 * read from the log without holding up anybody else.
 *
 * Between asking and sending this replica may have been deposed and its log overwritten: an append leaves only while it
 * still leads in the term the append speaks for, because a leader never changes its own log (bug E14).
 */
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { BlockLog } from '../store/block-log.ts';
import { DamagedEntryError } from '../store/damaged.ts';
import { invariant } from './core/invariant.ts';
import type { Append, AppendRange } from './core/message.ts';
import { asIndex, type Entry, type ReplicaId, type Term } from './core/types.ts';
import type { EntryRepair } from './entry-repair.ts';

export interface AppendSenderOptions {
  readonly log: Pick<BlockLog, 'cached'>;
  readonly entries: Pick<EntryRepair, 'tryReadRange' | 'waitingFor'>;
  readonly logger: Logger;
  readonly stillLeads: (term: Term) => boolean;
  readonly send: (message: Append) => void;
  /** Entries for `peer` could not be read. */
  readonly failed: (peer: ReplicaId) => void;
}

export class AppendSender {
  readonly #options: AppendSenderOptions;
  /** The end of the queue of reads per follower; absent when everything so far came from memory. */
  readonly #queues = new Map<ReplicaId, Promise<void>>();

  constructor(options: AppendSenderOptions) {
    this.#options = options;
  }

  send(range: AppendRange): void {
    const queue = this.#queues.get(range.to);
    if (queue === undefined) {
      const entries = this.#cached(range);
      if (entries !== null) {
        this.#emit(range, entries);
        return;
      }
    }
    const sent = (queue ?? Promise.resolve()).then(() => this.#readAndSend(range));
    this.#queues.set(range.to, sent);
    void sent.then(() => {
      if (this.#queues.get(range.to) === sent) this.#queues.delete(range.to);
    });
  }

  #cached(range: AppendRange): readonly Entry[] | null {
    if (range.lastIndex === range.previousIndex) return [];
    return this.#options.log.cached(asIndex(range.previousIndex + 1), range.lastIndex);
  }

  /** Entries from the disk may be larger than the core took them for: they leave in as many appends as they need. */
  async #readAndSend(range: AppendRange): Promise<void> {
    let rest = range;
    try {
      do {
        if (!this.#options.stillLeads(range.term)) return;
        const entries =
          this.#cached(rest) ??
          (await this.#options.entries.tryReadRange(
            asIndex(rest.previousIndex + 1),
            rest.lastIndex,
            limits.appendBytesMax,
          ));
        if (!this.#options.stillLeads(range.term)) return;
        this.#emit(rest, entries);
        const last = entries.at(-1);
        if (last === undefined) return;
        rest = { ...rest, previousIndex: last.index, previousTerm: last.term };
      } while (rest.previousIndex < rest.lastIndex);
    } catch (error) {
      // Under repair: the core asks again with the next heartbeats, and nothing is queued up here meanwhile.
      if (!(error instanceof DamagedEntryError) || this.#options.entries.waitingFor(error.index) === null) {
        this.#options.logger.error(
          { peer: range.to, from: rest.previousIndex + 1, error: String(error) },
          'cannot read entries for a follower',
        );
      }
      this.#options.failed(range.to);
    }
  }

  #emit(range: AppendRange, entries: readonly Entry[]): void {
    const first = entries[0];
    invariant(
      first === undefined || first.index === range.previousIndex + 1,
      'an append must begin right after its previous index (bug E14)',
    );
    const { lastIndex: _, ...append } = range;
    this.#options.send({ ...append, entries });
  }
}
