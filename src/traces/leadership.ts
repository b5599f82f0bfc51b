/**
 * Handing the lead over (thesis 3.10, protocol G2), as operators ask for it and as a node does before it stops. Any node can
 * be asked: who does not lead tells the leader, and sees for itself that another one took over.
 */
import { errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { replicasOf } from '../raft/core/configuration.ts';
import { transferFrom } from '../raft/core/format-level.ts';
import { asIndex, type LogIndex, type NodeId, nodeIdOf, type ReplicaId, type Term } from '../raft/core/types.ts';
import type { NewLeader } from '../raft/leader-changes.ts';
import type { Replica } from '../raft/replica.ts';
import { handOverErrors, type HandOverReason, type PeerMessage } from '../transport/transport.ts';
import type { HandOver, Peers, Report } from './peers.ts';
import type { DiskHealth, ReliefCandidate } from './relief.ts';
import { bestSuccessor } from './successor.ts';

export interface LeadershipOptions {
  readonly self: ReplicaId;
  readonly boot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly replica: Replica;
  readonly peers: Peers;
  /** Queues a message for a peer; may lose it. */
  readonly send: (to: NodeId, message: PeerMessage) => void;
}

export interface Leader {
  readonly leader: NodeId;
  readonly term: Term;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  /** Questions to leaders that are open, by id. */
  readonly #asked = new Map<string, (error: QuorateError) => void>();
  /** The last question that each peer asked: one that comes twice is asked once. */
  readonly #heard = new Map<NodeId, string>();
  #counter = 0;
  #lastHandOver: HandOver | null = null;
  #lastForHealth: HandOver | null = null;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  get #voters(): readonly ReplicaId[] {
    return this.#options.replica.configuration.configuration.voters;
  }

  get #leads(): boolean {
    return this.#options.replica.status.leader === this.#options.self;
  }

  /** The term in which this node leads; null while it does not. */
  get leadingTerm(): Term | null {
    return this.#leads ? this.#options.replica.status.term : null;
  }

  get commit(): LogIndex {
    return this.#options.replica.status.commit;
  }

  /** The newest hand-over of this node, or of another that told of it. */
  get lastHandOver(): HandOver | null {
    const told = this.#options.peers.lastHandOver(() => true);
    const own = this.#lastHandOver;
    return own !== null && (told === null || own.term > told.term) ? own : told;
  }

  /** The newest one of this node since its start. */
  get lastOwn(): HandOver | null {
    return this.#lastHandOver;
  }

  /** When somebody last handed over for the sake of a disk, by the monotonic clock here; null: nobody told of it. */
  get lastForHealthMs(): number | null {
    const told = this.#options.peers.lastHandOver(isForHealth);
    const times = [this.#lastForHealth, told].flatMap((one) => (one === null ? [] : [one.atMs]));
    return times.length === 0 ? null : Math.max(...times);
  }

  /**
   * Hands the lead to `to`, or to the voter that is furthest. Resolves with who leads then: another node, as a rule that one.
   * Rejects with `bad-request` for an unknown node, `conflict` when it cannot take over, `unavailable` when it did not.
   */
  async transfer(to: NodeId | null): Promise<Leader> {
    const { replica } = this.#options;
    const members = replicasOf(replica.configuration.configuration).map(nodeIdOf);
    if (to !== null && !members.includes(to)) {
      throw new QuorateError('bad-request', `there is no node ${to}: the members are ${members.join(', ')}`);
    }
    const { leader, term } = replica.status;
    if (leader === null)
      throw new QuorateError('unavailable', 'no leader is known to this node: ask again, or another');
    const taken = this.#leads ? await this.handOver(to, 'asked') : await this.#ask({ leader, term }, to);
    return { leader: nodeIdOf(taken.leader), term: taken.term };
  }

  /** As leader; otherwise like `transfer`. */
  async handOver(to: NodeId | null, why: HandOverReason): Promise<NewLeader> {
    const { replica, logger, clock, self } = this.#options;
    const { term } = replica.status;
    const target = to === null ? this.#successor(new Set()) : this.#targetNamed(to);
    if (target === null)
      throw new QuorateError(
        'conflict',
        'no other voter is connected and holds all that is committed: look at cluster status',
      );
    const taken = await replica.transferLeadership(target);
    if (taken.leader === target) {
      logger.info({ ...taken, why }, 'handed the lead over');
      this.#lastHandOver = { from: nodeIdOf(self), to: nodeIdOf(target), why, term, atMs: clock.monotonicMs() };
      if (isForHealth(this.#lastHandOver)) this.#lastForHealth = this.#lastHandOver;
    }
    return taken;
  }

  #targetNamed(to: NodeId): ReplicaId {
    const { self } = this.#options;
    if (to === nodeIdOf(self)) throw new QuorateError('conflict', `${to} leads already`);
    const target = this.#voters.find((voter) => nodeIdOf(voter) === to);
    if (target === undefined) throw new QuorateError('conflict', `${to} is no voter: only voters can lead`);
    if (!this.#isConnected(target))
      throw new QuorateError('conflict', `${to} is not connected to the leader ${nodeIdOf(self)}: start it first`);
    this.#assertTransfers(to);
    return target;
  }

  /** The voter that is best able to lead; null when none is. */
  #successor(without: ReadonlySet<ReplicaId>): ReplicaId | null {
    const candidates = this.candidates.filter(({ voter }) => !without.has(voter));
    return bestSuccessor(candidates, this.commit);
  }

  /** The other voters, as this node sees them. */
  get candidates(): readonly ReliefCandidate[] {
    const { self, peers, replica } = this.#options;
    const { followers } = replica;
    const others = this.#voters.filter((voter) => voter !== self);
    return others.map((voter) => {
      const report = peers.get(nodeIdOf(voter))?.report ?? null;
      const match = followers?.get(voter)?.match ?? asIndex(0);
      const connected = this.#isConnected(voter) && this.#transfers(nodeIdOf(voter));
      return { voter, connected, report, match, disk: diskOf(report) };
    });
  }

  /** Not with its node, whose disk was replaced: with the voter itself. */
  #isConnected(voter: ReplicaId): boolean {
    const peer = this.#options.peers.get(nodeIdOf(voter));
    return peer?.connected === true && peer.hello.replica === voter;
  }

  /** It knows that the lead can be handed over. */
  #transfers(node: NodeId): boolean {
    return (this.#options.peers.get(node)?.hello.formats.newest ?? transferFrom) >= transferFrom;
  }

  #assertTransfers(node: NodeId): void {
    if (this.#transfers(node)) return;
    const version = this.#options.peers.get(node)?.hello.version;
    throw new QuorateError(
      'conflict',
      `${node} runs Quorate ${version}, which does not know how to hand the lead over: upgrade it first`,
    );
  }

  async #ask(from: NewLeader, to: NodeId | null): Promise<NewLeader> {
    this.#assertTransfers(nodeIdOf(from.leader));
    const { boot, replica, send } = this.#options;
    this.#counter += 1;
    const id = `${boot}:${this.#counter}`;
    const { next, fail } = replica.leaderChanges.after(from);
    this.#asked.set(id, fail);
    send(nodeIdOf(from.leader), { kind: 'hand-over', id, to });
    try {
      return await next;
    } finally {
      this.#asked.delete(id);
    }
  }

  /** A peer was asked for what only this node can do. It sees by itself when that has succeeded. */
  async receive(peer: NodeId, { id, to }: PeerMessage & { readonly kind: 'hand-over' }): Promise<void> {
    if (this.#heard.get(peer) === id) return;
    this.#heard.set(peer, id);
    try {
      if (!this.#leads)
        throw new QuorateError('unavailable', `${nodeIdOf(this.#options.self)} leads no more: ask again`);
      await this.transfer(to);
    } catch (error) {
      const { code, message } = error instanceof QuorateError ? error : { code: '', message: errorOf(error).message };
      const told = handOverErrors.find((one) => one === code) ?? 'conflict';
      this.#options.send(peer, { kind: 'not-handed-over', id, code: told, reason: message });
    }
  }

  /** The leader says why it did not hand over. */
  refused({ id, code, reason }: PeerMessage & { readonly kind: 'not-handed-over' }): void {
    this.#asked.get(id)?.(new QuorateError(code, reason));
  }

  /**
   * Gives the lead away, if this node has it, so that nobody has to notice that it is gone. Tries one after the other, for
   * `limits.handOverMs` at most. Never rejects.
   */
  async leave(): Promise<void> {
    const { clock, logger } = this.#options;
    const untilMs = clock.monotonicMs() + limits.handOverMs;
    const tried = new Set<ReplicaId>();
    for (;;) {
      const leftMs = untilMs - clock.monotonicMs();
      const target = this.#leads && leftMs > 0 ? this.#successor(tried) : null;
      if (target === null) return;
      tried.add(target);
      await this.#within(leftMs, this.handOver(nodeIdOf(target), 'stopping')).catch((error: unknown) =>
        logger.warn({ to: nodeIdOf(target), error: errorOf(error).message }, 'could not hand the lead over'),
      );
    }
  }

  #within(timeMs: number, transfer: Promise<NewLeader>): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(timeMs, () => reject(new Error('it took too long')));
      transfer.then(
        () => {
          cancel();
          resolve();
        },
        (error: unknown) => {
          cancel();
          reject(errorOf(error));
        },
      );
    });
  }
}

const isForHealth = ({ why }: HandOver): boolean => why === 'slow disk' || why === 'low space';

function diskOf(report: Report | null): DiskHealth | null {
  if (report === null) return null;
  const { writeMicros, space } = report;
  return { writeMs: writeMicros === null ? null : writeMicros / 1_000, space };
}
