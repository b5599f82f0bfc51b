/**
 * Brings faults, drawn from the seed, until it is told to be calm. Each has a number and randomness of its own, so a run can
 * be done again without some of them: that is how a failing seed is made small.
 */
import type { NodeId } from '../../src/raft/core/types.ts';
import type { Configurations } from './configurations.ts';
import type { FaultAtlas } from './fault-atlas.ts';
import type { Fault, FaultContext } from './faults/context.ts';
import { bringReplacedBack } from './faults/damage.ts';
import { faults } from './faults/faults.ts';
import { cutOff } from './faults/network.ts';
import { crashWhileFounding } from './faults/process.ts';
import type { SimLinks } from './links.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';
import type { SimNode } from './sim-node.ts';

export interface NemesisOptions {
  readonly nodes: readonly SimNode[];
  readonly links: SimLinks;
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly atlas: FaultAtlas;
  readonly configurations: Configurations;
  readonly voters: () => readonly SimNode[];
  readonly committed: () => number;
  readonly counterHeard: (node: SimNode) => number;
  readonly broken: (sentence: string) => void;
  /** The numbers of the only faults that come; null: all. */
  readonly only: ReadonlySet<string> | null;
  readonly note: (fault: string, nodes: readonly NodeId[]) => void;
}

/** How a node that nobody waits for spends the time in which the others must do without it. */
type Absence = 'dead' | 'paused' | 'cut off' | 'mute' | 'deaf';

const totalWeight = faults.reduce((sum, { weight }) => sum + weight, 0);

export class Nemesis {
  /** How often each fault came. */
  readonly counts = new Map<string, number>();
  readonly #options: NemesisOptions;
  /** Longest time between two faults, virtual ms. */
  readonly #gapMaxMs: number;
  readonly #absent = new Set<NodeId>();
  readonly #numbers: string[] = [];
  #planned = 0;
  #following = 0;
  #quietUntilMs = 0;
  #calm = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.#gapMaxMs = options.random.pick([900, 1_800, 3_600]);
  }

  /** The numbers of the faults that came. */
  get numbers(): readonly string[] {
    return this.#numbers;
  }

  /** Brings a fault every now and then, until `calm`. */
  start(): void {
    const { scheduler, random } = this.#options;
    scheduler.after(random.between(50, this.#gapMaxMs), () => {
      if (this.#calm) return;
      this.#planned += 1;
      const number = `${this.#planned}`;
      const own = random.fork(`fault ${number}`);
      if (scheduler.nowMs >= this.#quietUntilMs) this.#bring(draw(own), number, own);
      this.start();
    });
  }

  /** `node` begins to found the cluster, or to join its founding. */
  founding(node: SimNode): void {
    this.#follow('crash while founding', (context) => crashWhileFounding(context, node));
  }

  /** `node` has just replaced entries. */
  replacedEntries(node: SimNode): void {
    if (!this.#calm) this.#follow('replaced entries back', (context) => bringReplacedBack(context, node));
  }

  #follow(name: string, bring: (context: FaultContext) => void): void {
    this.#following += 1;
    const number = `f${this.#following}`;
    this.#bring({ name, weight: 0, bring }, number, this.#options.random.fork(`following ${number}`));
  }

  #bring({ name, bring }: Fault, number: string, random: SimRandom): void {
    const { nodes, links, scheduler, atlas, configurations, voters } = this.#options;
    const { committed, counterHeard, broken, only, note } = this.#options;
    if (only?.has(number) === false) return;
    this.#numbers.push(number);
    let counted = false;
    bring({
      nodes,
      links,
      scheduler,
      atlas,
      configurations,
      voters,
      random,
      committed,
      counterHeard,
      broken,
      note: (what, ...whom) => {
        if (!counted) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        counted = true;
        note(
          `#${number} ${what}`,
          whom.map(({ id }) => id),
        );
      },
      later: (delayMs, undo) => {
        scheduler.after(delayMs, () => {
          if (!this.#calm) undo();
        });
      },
      start: (node) => this.#start(node),
      quiet: (durationMs) => (this.#quietUntilMs = scheduler.nowMs + durationMs),
      isQuiet: () => scheduler.nowMs < this.#quietUntilMs,
    });
  }

  #start(node: SimNode): void {
    if (!this.#absent.has(node.id) && !this.#options.atlas.barred.has(node.id)) node.start();
  }

  /**
   * Faults end for a random majority, which must now get on alone: the others stay dead, paused or behind a cut. Whoever lost
   * something counts as absent, or the majority may lack what only the absent have. Gives the nodes that are well, and whether
   * those are all.
   */
  healMajority(): { readonly well: readonly SimNode[]; readonly everyone: boolean } {
    const { nodes, links, atlas, random, note, voters } = this.#options;
    this.#endFaults();
    const hurt = new Set([...atlas.damaged, ...atlas.lost]);
    const absences = random.below(3);
    const absent: SimNode[] = [];
    for (const node of random.shuffle(voters().filter(({ id }) => !hurt.has(id)))) {
      if (absent.length < absences && atlas.mayHurt([...absent, node])) absent.push(node);
    }
    for (const node of absent) {
      this.#absent.add(node.id);
      const how = random.pick<Absence>(['dead', 'paused', 'cut off', 'mute', 'deaf']);
      note(`stays ${how}`, [node.id]);
      if (how === 'dead') node.crash(random.pick(['process', 'power']));
      else if (how === 'paused') node.boot?.process.pause();
      else if (how === 'cut off') cutOff(links, node, nodes);
      else
        for (const other of nodes)
          if (how === 'mute') links.cut(node.id, other.id);
          else links.cut(other.id, node.id);
    }
    for (const node of nodes) if (!this.#absent.has(node.id)) this.#heal(node);
    const well = nodes.filter(({ id }) => !this.#absent.has(id) && !atlas.lost.has(id));
    return { well, everyone: absent.length === 0 && atlas.lost.size === 0 };
  }

  /** The rest is well too; who was told to stay away comes back with an empty disk, as the sentence said. */
  healAll(): void {
    const { nodes, atlas, note } = this.#options;
    this.#endFaults();
    this.#absent.clear();
    note('all is well', []);
    for (const node of nodes) {
      if (atlas.barred.delete(node.id)) {
        node.crash('process');
        atlas.lose(node);
        node.disk.wipe();
      }
      this.#heal(node);
    }
  }

  #endFaults(): void {
    const { links } = this.#options;
    this.#calm = true;
    links.heal();
    links.disturb({});
  }

  #heal(node: SimNode): void {
    const { scheduler, atlas } = this.#options;
    node.disk.heal();
    node.skew.setRight(scheduler.nowMs);
    atlas.skewed.delete(node.id);
    node.boot?.process.dieAtBoundary(Infinity, () => undefined);
    node.boot?.process.resume();
    if (atlas.barred.has(node.id) || node.stopping) node.crash('process');
    this.#start(node);
  }
}

function draw(random: SimRandom): Fault {
  let ticket = random.below(totalWeight);
  for (const fault of faults) {
    ticket -= fault.weight;
    if (ticket < 0) return fault;
  }
  throw new Error('the weights do not add up');
}
