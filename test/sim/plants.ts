/** Known bugs, put back one at a time (protocol I5): each must be caught within its number of seeds. */
import type { Plant } from '../support/plant.ts';

export interface PlantedBug extends Plant {
  readonly name: string;
  /** The invariant or check that may notice it, by its letter and number in docs/spec.md. */
  readonly caughtBy: RegExp;
  readonly seeds: number;
}

const core = 'src/raft/core/raft.ts';
const leader = 'src/raft/core/leader.ts';
const replica = 'src/raft/replica.ts';

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'a follower acknowledges before its sync (E16)',
    file: core,
    find: 'const match = asIndex(Math.min(this.#matched, this.#log.durable));',
    replace: 'const match = this.#matched;',
    caughtBy: /P2/,
    seeds: 3,
  },
  {
    name: 'the vote is not persisted (E2, E3)',
    file: replica,
    find: 'vote: this.#core.vote,',
    replace: 'vote: null,',
    caughtBy: /P1/,
    seeds: 3,
  },
  {
    name: 'messages do not wait for their ballot (E3)',
    file: replica,
    find: 'this.#held.findIndex(({ ballot }) => ballot > this.#ballotDurable)',
    replace: '-1',
    caughtBy: /P1/,
    seeds: 3,
  },
  {
    name: 'an entry of an older term is committed by counting (E1)',
    file: leader,
    find: 'if (reached <= log.commit || log.termAt(reached) !== term) return;',
    replace: 'if (reached <= log.commit) return;',
    caughtBy: /S[4-7]|A1/,
    seeds: 40,
  },
  {
    name: 'the leader counts its own entry before its sync (E10)',
    file: leader,
    find: 'voter === self ? log.durable :',
    replace: 'voter === self ? log.last.index :',
    caughtBy: /S[457]/,
    seeds: 10,
  },
  {
    name: 'a read does not wait for a round (R3)',
    file: leader,
    find: 'if (!this.#reads.add(requestId, from, committedInTerm ? log.commit : null))',
    replace: 'if (committedInTerm) this.#context.answer({ requestId, from }, log.commit); else',
    caughtBy: /C1/,
    seeds: 60,
  },
  {
    name: 'the peer keeps the maximum of the rounds (R2)',
    file: core,
    find: 'round: message.round,',
    replace: 'round: (this.roundMax = Math.max(this.roundMax ?? 0, message.round)),',
    caughtBy: /R1/,
    seeds: 20,
  },
  {
    name: 'the promise is overwritten with the shorter log (A2)',
    file: replica,
    find: 'return lostPromise === null || RaftLog.upToDate(this.#durableTail, lostPromise) ? this.#durableTail : lostPromise;',
    replace: 'return this.#durableTail;',
    caughtBy: /P3/,
    seeds: 20,
  },
  {
    name: 'a batch found after a crash is acknowledged without having been promised',
    file: replica,
    find: 'await replica.#writeHardState();',
    replace: '',
    caughtBy: /P2/,
    seeds: 40,
  },
  {
    name: 'the persisted commit index names entries that are about to be replaced',
    file: replica,
    find: 'Math.min(this.#core.commit, this.#core.durable)',
    replace: 'Math.min(this.#core.commit, this.#durableTail.index)',
    caughtBy: /P8|S4|A1/,
    seeds: 120,
  },
  {
    name: 'an append truncates without a conflict (E13)',
    file: 'src/raft/core/log.ts',
    find: 'const firstNew = entries.findIndex((entry) => this.termAt(entry.index) !== entry.term);',
    replace: 'const firstNew = entries.length > 0 ? 0 : -1;',
    caughtBy: /A1|S[1-7]|P[1-3]/,
    seeds: 20,
  },
  {
    name: 'a log that fell back to replaced entries is believed up to the persisted commit index',
    file: replica,
    find: 'commit: kept ? asIndex(Math.max(options.applied, Math.min(state.commit, log.last.index))) : options.applied,',
    replace: 'commit: asIndex(Math.max(options.applied, Math.min(state.commit, log.last.index))),',
    caughtBy: /S4|A1/,
    seeds: 120,
  },
  {
    name: 'a founding cut short is not finished',
    file: 'src/traces/trace-store.ts',
    find: '    await this.#finishFounding();',
    replace: '',
    caughtBy: /L1/,
    seeds: 40,
  },
];
