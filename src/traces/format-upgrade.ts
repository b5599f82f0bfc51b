/**
 * When the format level is raised (protocol B4): the leader does it by itself, once every member of the configuration in force is
 * connected and has announced that it reads more. Until then nobody writes what a node of before could not read.
 */
import type { Logger } from '../logger.ts';
import { replicasOf } from '../raft/core/configuration.ts';
import type { FormatRange } from '../raft/core/format-level.ts';
import { type Configuration, nodeIdOf, type ReplicaId } from '../raft/core/types.ts';
import type { Replica } from '../raft/replica.ts';
import type { Hello } from '../transport/transport.ts';
import type { Peers } from './peers.ts';

export type Announced = Pick<Hello, 'replica' | 'version' | 'formats'>;

/**
 * What each member says that it reads; null where it is not there to say so. A node that came back with another disk speaks for
 * the one that it lost, which will not return (protocol B2): it waits to take that place, and before the level is raised it cannot.
 */
export function announcements(
  configuration: Configuration,
  present: readonly Announced[],
): ReadonlyMap<ReplicaId, Announced | null> {
  const said = new Map(present.map((one) => [nodeIdOf(one.replica), one]));
  return new Map(replicasOf(configuration).map((member) => [member, said.get(nodeIdOf(member)) ?? null]));
}

/** The level that all members read, when that is above the one in force; else null. */
export function levelToRaise(level: number, members: ReadonlyMap<ReplicaId, Announced | null>): number | null {
  const least = Math.min(...[...members.values()].map((member) => member?.formats.newest ?? 0));
  return least > level ? least : null;
}

/** What keeps the level below `wanted`, and what to do about it. */
export function whyNotAt(wanted: number, level: number, members: ReadonlyMap<ReplicaId, Announced | null>): string {
  const at = `the cluster is at format level ${level}`;
  for (const [member, said] of members) {
    const node = nodeIdOf(member);
    if (said === null) return `${at}: ${node} is not connected, so nobody knows what it runs; start it first`;
    if (said.formats.newest < wanted) return `${at}: ${node} still runs Quorate ${said.version}; upgrade it first`;
  }
  return `${at} and about to be raised: try again`;
}

export interface FormatUpgradeOptions {
  readonly self: Announced;
  readonly peers: Peers;
  readonly logger: Logger;
  /** null until this node takes part. */
  readonly replica: () => Replica | null;
}

export class FormatUpgrade {
  readonly #options: FormatUpgradeOptions;

  constructor(options: FormatUpgradeOptions) {
    this.#options = options;
  }

  get formats(): FormatRange {
    return this.#options.self.formats;
  }

  #members(replica: Replica): ReadonlyMap<ReplicaId, Announced | null> {
    const { self, peers } = this.#options;
    return announcements(replica.configuration.configuration, [self, ...peers.connected]);
  }

  /** As leader: raises the level when that is due. Called now and then. */
  raiseWhenDue(): void {
    const replica = this.#options.replica();
    if (replica?.status.role !== 'leader') return;
    const level = levelToRaise(replica.status.formatLevel, this.#members(replica));
    if (level === null || replica.raiseFormatLevel(level) !== 'appended') return;
    this.#options.logger.info({ level }, 'all members read a newer format level: raising it');
  }

  /** Why what needs `wanted` cannot be done yet; null when it can. */
  refusal(wanted: number): string | null {
    const replica = this.#options.replica();
    if (replica === null || replica.status.formatLevel >= wanted) return null;
    return whyNotAt(wanted, replica.status.formatLevel, this.#members(replica));
  }
}
