/**
 * The configurations that were ever seen on a disk, and those that may come to be in force: what a majority is, for the witness,
 * and which disks may be hurt, for the fault atlas.
 */
import {
  configurationAfter,
  type ConfigurationChange,
  halvesOf,
  isJoint,
  promoted,
  settled,
} from '../../src/raft/core/configuration.ts';
import {
  type Configuration,
  type ConfigurationAt,
  type Entry,
  type NodeId,
  nodeIdOf,
} from '../../src/raft/core/types.ts';
import { limits } from '../../src/limits.ts';
import { decodeConfiguration } from '../../src/store/configuration-record.ts';
import type { EntryOnDisk } from './disk-view.ts';

export class Configurations {
  /** Ascending; empty until the cluster is founded. */
  readonly #committed: ConfigurationAt[] = [];
  readonly #written = new Map<string, ConfigurationAt>();
  /** Nodes of the founding, as long as nothing is known of their incarnations. */
  readonly #founders: readonly NodeId[];
  /** What operators asked for, which may still get into a log. */
  readonly #asked = new Set<(configuration: Configuration) => ConfigurationChange | null>();
  sawJoint = false;
  sawPromotion = false;
  sawReplacement = false;

  constructor(founders: readonly NodeId[]) {
    this.#founders = founders;
  }

  /** The configuration of the founding, as a replica has it. */
  founded(configuration: Configuration): void {
    if (this.#committed.length === 0) this.#committed.push({ index: 0 as ConfigurationAt['index'], configuration });
  }

  /** An entry is on some disk. */
  written(entry: EntryOnDisk): void {
    if (entry.configuration === null) return;
    this.#written.set(`${entry.index} ${entry.hash}`, { index: entry.index, configuration: entry.configuration });
  }

  /** An entry is committed. */
  committed(entry: Entry): void {
    if (entry.kind !== 'configuration') return;
    const { configuration } = decodeConfiguration(entry.payload);
    const before = this.newest;
    if (before !== null) this.#note(before, configuration);
    this.#committed.push({ index: entry.index, configuration });
    for (const [key, { index }] of this.#written) if (index <= entry.index) this.#written.delete(key);
  }

  #note(before: Configuration, configuration: Configuration): void {
    if (isJoint(configuration)) this.sawJoint = true;
    for (const { replica, replaces } of before.learners) {
      if (!configuration.voters.includes(replica)) continue;
      this.sawPromotion = true;
      if (replaces !== null && nodeIdOf(replaces) === nodeIdOf(replica)) this.sawReplacement = true;
    }
  }

  /** The newest that is committed; null before the founding. */
  get newest(): Configuration | null {
    return this.#committed.at(-1)?.configuration ?? null;
  }

  /** The one in force at `index`, which is committed; null before the founding. */
  asOf(index: number): ConfigurationAt | null {
    return this.#committed.findLast((known) => known.index <= index) ?? null;
  }

  isCommitted(index: number): boolean {
    return this.#committed.some((known) => known.index === index);
  }

  /** Those by which the entry at `index` may have been committed: the one in force there, and later ones. */
  forEntry(index: number): readonly Configuration[] {
    const at = this.#committed.findLastIndex((known) => known.index <= index);
    const later = [...this.#written.values()].filter((known) => known.index > index);
    const known = [...this.#committed.slice(Math.max(0, at)), ...later];
    // Entries are looked at in order: a joint configuration below this one is committed, and its leader may have ended it already.
    const ended = known.filter((joint) => joint.index < index && isJoint(joint.configuration));
    return [
      ...known.map(({ configuration }) => configuration),
      ...ended.map(({ configuration }) => settled(configuration)),
    ];
  }

  /** An operator asks for a change: until `over` is called, it may come true. */
  asking(change: (configuration: Configuration) => ConfigurationChange | null): { over: () => void } {
    this.#asked.add(change);
    return { over: () => this.#asked.delete(change) };
  }

  /**
   * Every set of nodes of which a majority is needed now, or may be soon: by what is in a log, what was asked for, the end of joint
   * configurations, and the promotion of learners.
   */
  possibleHalves(alsoAsked: ((configuration: Configuration) => ConfigurationChange | null) | null = null): NodeId[][] {
    const { newest } = this;
    if (newest === null) return [[...this.#founders]];
    const asked = [...this.#asked, ...(alsoAsked === null ? [] : [alsoAsked])];
    const inLogs = [newest, ...[...this.#written.values()].map(({ configuration }) => configuration)];
    const halves: NodeId[][] = [];
    let configurations: readonly Configuration[] = inLogs;
    // A change asked for, its promotion, and the same once more: as far as anything gets while it is looked at.
    for (let depth = 0; depth < 2; depth += 1) {
      const reached = configurations.flatMap(consequencesOf);
      halves.push(...reached.flatMap(halvesOf).map((half) => half.map(nodeIdOf)));
      configurations = reached.flatMap((configuration) =>
        isJoint(configuration) ? [] : asked.flatMap((change) => changed(configuration, change(configuration))),
      );
      if (configurations.length === 0) break;
    }
    return halves;
  }
}

function changed(configuration: Configuration, change: ConfigurationChange | null): Configuration[] {
  if (change === null) return [];
  const next = configurationAfter(configuration, change, limits.votersMax);
  return typeof next === 'string' ? [] : [next];
}

/** A configuration and what comes of it by itself. */
function consequencesOf(configuration: Configuration): Configuration[] {
  const begun = isJoint(configuration) ? [configuration, settled(configuration)] : [configuration];
  const last = begun.at(-1) ?? configuration;
  const some = subsetsOf(last.learners).map((learners) => promoted(last, learners));
  return [...begun, ...some, ...some.map(settled)];
}

function subsetsOf<Item>(items: readonly Item[]): Item[][] {
  return items.reduce<Item[][]>((subsets, item) => [...subsets, ...subsets.map((subset) => [...subset, item])], [[]]);
}
