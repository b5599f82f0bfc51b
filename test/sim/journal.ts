/**
 * What happened in a run, event by event: hashed, so that two runs of a seed can be told to be the same; the last of it kept
 * for whoever reads a failure; all of it when somebody wants to draw it.
 */
import { createHash } from 'node:crypto';
import type { NodeId } from '../../src/raft/core/types.ts';
import { textOf } from './event-text.ts';

export type SimEvent =
  /** @param sentMs null where it is not known */
  | {
      readonly kind: 'message';
      readonly from: NodeId;
      readonly to: NodeId;
      readonly name: string;
      readonly sentMs: number | null;
    }
  | { readonly kind: 'fault'; readonly what: string; readonly nodes: readonly NodeId[] }
  /** A node is in another state than before: down, paused, opening, stopping, or a Raft role. */
  | { readonly kind: 'state'; readonly node: NodeId; readonly state: string; readonly term: number }
  | {
      readonly kind: 'client';
      readonly client: string;
      readonly node: string;
      readonly what: 'write' | 'read';
      readonly startMs: number;
      readonly outcome: 'ok' | 'unknown' | 'refused';
    }
  | { readonly kind: 'note'; readonly text: string };

export type TimedEvent = SimEvent & { readonly timeMs: number };

export interface JournalOptions {
  readonly nowMs: () => number;
  /** Called with each event, for people. */
  readonly trace?: ((line: string) => void) | undefined;
  /** Keep every event. */
  readonly keep: boolean;
}

const lastLinesKept = 60;
const hashedAtOnce = 16_384;

export class Journal {
  readonly #options: JournalOptions;
  readonly #hash = createHash('sha256');
  /** Lines that wait for the hash. */
  #unhashed = '';
  readonly #lastLines: string[] = [];
  readonly #events: TimedEvent[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** The newest events, as lines. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  /** Every event, when they are kept. */
  get events(): readonly TimedEvent[] {
    return this.#events;
  }

  add(event: SimEvent): void {
    const { nowMs, trace, keep } = this.#options;
    const timeMs = nowMs();
    const line = `${timeMs.toFixed(3)} ${textOf(event)}`;
    this.#unhashed += line;
    if (this.#unhashed.length > hashedAtOnce) this.#hashRest();
    this.#lastLines.push(line);
    if (this.#lastLines.length > lastLinesKept) this.#lastLines.shift();
    if (keep) this.#events.push({ ...event, timeMs });
    trace?.(line);
  }

  #hashRest(): void {
    this.#hash.update(this.#unhashed);
    this.#unhashed = '';
  }

  /** A node's own words: for people, no part of the hash. */
  say(line: string): void {
    this.#options.trace?.(`${this.#options.nowMs().toFixed(3)} ${line}`);
  }

  /** Of everything so far. Ends the journal. */
  digest(): string {
    this.#hashRest();
    return this.#hash.digest('hex').slice(0, 16);
  }
}
