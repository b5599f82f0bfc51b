/**
 * What goes wrong in a run, drawn from the seed. Every fault ends by itself or in `calm`. Damage and lost disks stay on a
 * minority (protocol I3): for each committed entry an intact copy remains with a voter that can rejoin, so that every
 * violation is a bug and none is bad luck.
 */
import type { NodeId } from '../../src/raft/core/types.ts';
import type { SimNetwork } from './network.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';
import type { SimNode } from './sim-node.ts';
import { hardStateSlots } from '../../src/store/hard-state.ts';

export interface NemesisOptions {
  readonly nodes: readonly SimNode[];
  readonly network: SimNetwork;
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  /** Nodes whose disk lost something and that have not caught up since. */
  readonly damaged: Set<NodeId>;
  /** Nodes whose disk was replaced; they wait to be admitted. */
  readonly lost: Set<NodeId>;
  readonly note: (event: string) => void;
}

type Fault = (nemesis: Nemesis) => void;

export class Nemesis {
  readonly #options: NemesisOptions;
  readonly counts = new Map<string, number>();
  #calm = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  /** Brings a fault every now and then, until `calm`. */
  start(): void {
    const { scheduler, random } = this.#options;
    scheduler.after(random.between(50, 1_800), () => {
      if (this.#calm) return;
      const [name, , fault] = this.#draw();
      this.#count(name);
      fault(this);
      this.start();
    });
  }

  /** `node` begins to found the cluster, or to join its founding: now and then it dies in the middle. */
  founding(node: SimNode): void {
    const { scheduler, random } = this.#options;
    if (!random.chance(0.3)) return;
    scheduler.after(random.between(0, 12), () => {
      this.#count('crash while founding');
      this.#crash(node, random.pick(['process', 'power']));
    });
  }

  /**
   * `node` has just replaced entries. Now and then its disk forgets it again: the old entries are back, chained and whole,
   * under a hard state that may already call their successors committed.
   */
  replacedEntries(node: SimNode): void {
    const { scheduler, random } = this.#options;
    if (this.#calm || !random.chance(0.8)) return;
    scheduler.after(random.between(5, 60), () => {
      if (this.#calm) return;
      this.#count('replaced entries back');
      this.#hurt('replaced entries back', () => node.disk.cutLog('log', 1 + random.below(6)), node);
    });
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** Ends all faults: the network heals, the disks work, paused nodes go on, dead ones start. */
  calm(): void {
    const { nodes, network } = this.#options;
    this.#calm = true;
    network.healAll();
    Object.assign(network.faults, { lossPpm: 0, duplicatePpm: 0, delayMaxMs: 4 });
    for (const node of nodes) {
      node.disk.heal();
      node.boot?.process.resume();
      node.start();
    }
  }

  /** Name, weight, what it does. */
  static readonly #faults: readonly [name: string, weight: number, fault: Fault][] = [
    ['process crash', 12, (nemesis) => nemesis.#crash(nemesis.#node(), 'process')],
    ['power loss', 8, (nemesis) => nemesis.#crash(nemesis.#node(), 'power')],
    ['power loss everywhere', 2, (nemesis) => nemesis.#options.nodes.forEach((node) => nemesis.#crash(node, 'power'))],
    ['leader crash', 8, (nemesis) => nemesis.#onLeader((node) => nemesis.#crash(node, 'process'))],
    ['pause', 8, (nemesis) => nemesis.#pause(nemesis.#node())],
    ['leader pause', 6, (nemesis) => nemesis.#onLeader((node) => nemesis.#pause(node))],
    ['isolation', 8, (nemesis) => nemesis.#isolate(nemesis.#node())],
    ['leader isolation', 6, (nemesis) => nemesis.#onLeader((node) => nemesis.#isolate(node))],
    ['split', 6, (nemesis) => nemesis.#split()],
    ['one-way cut', 8, (nemesis) => nemesis.#cutOneWay()],
    ['bulk cut', 5, (nemesis) => nemesis.#cutBulk()],
    ['bad network', 10, (nemesis) => nemesis.#badNetwork()],
    ['disk stall', 6, (nemesis) => nemesis.#stall()],
    ['write error', 3, (nemesis) => nemesis.#failDisk()],
    ['damaged log', 8, (nemesis) => nemesis.#damageLog()],
    ['damaged hard state', 4, (nemesis) => nemesis.#damageHardState()],
    ['damaged index', 5, (nemesis) => nemesis.#damageIndex()],
    ['clock jump', 4, (nemesis) => nemesis.#jumpClock()],
    ['disk replaced', 1, (nemesis) => nemesis.#replaceDisk()],
  ];

  #draw(): [name: string, weight: number, fault: Fault] {
    const faults = Nemesis.#faults;
    let ticket = this.#options.random.below(faults.reduce((sum, [, weight]) => sum + weight, 0));
    for (const fault of faults) {
      ticket -= fault[1];
      if (ticket < 0) return fault;
    }
    throw new Error('the weights do not add up');
  }

  #node(): SimNode {
    return this.#options.random.pick(this.#options.nodes);
  }

  #onLeader(action: (node: SimNode) => void): void {
    const leader = this.#options.nodes.find((node) => node.store?.replicaStatus?.role === 'leader');
    if (leader !== undefined) action(leader);
  }

  #crash(node: SimNode, kind: 'process' | 'power'): void {
    const { scheduler, random, note } = this.#options;
    note(`${kind} crash ${node.id}`);
    node.crash(kind);
    scheduler.after(random.between(20, random.chance(0.3) ? 5_000 : 800), () => node.start());
  }

  #pause(node: SimNode): void {
    this.#options.note(`pause ${node.id}`);
    node.boot?.process.pauseFor(this.#options.random.between(100, 2_500));
  }

  #healLater(): void {
    const { scheduler, random, network, note } = this.#options;
    scheduler.after(random.between(200, 4_000), () => {
      note('heal');
      network.healAll();
    });
  }

  #isolate(node: SimNode): void {
    const { nodes, network, note } = this.#options;
    note(`isolate ${node.id}`);
    for (const other of nodes) {
      network.cut(node.id, other.id);
      network.cut(other.id, node.id);
    }
    this.#healLater();
  }

  #split(): void {
    const { nodes, network, random, note } = this.#options;
    const side = new Set(random.shuffle(nodes).slice(0, 1 + random.below(nodes.length - 1)));
    note(`split ${[...side].map((node) => node.id).join(' ')}`);
    for (const left of nodes)
      for (const right of nodes) if (side.has(left) !== side.has(right)) network.cut(left.id, right.id);
    this.#healLater();
  }

  #cutOneWay(): void {
    const { nodes, network, random, note } = this.#options;
    const [from, to] = random.shuffle(nodes);
    if (from === undefined || to === undefined) return;
    note(`cut ${from.id}>${to.id}`);
    network.cut(from.id, to.id);
    this.#healLater();
  }

  /** Heartbeats flow, entries do not. */
  #cutBulk(): void {
    const { nodes, network, note } = this.#options;
    const node = this.#node();
    note(`cut bulk of ${node.id}`);
    for (const other of nodes) network.cut(node.id, other.id, ['bulk']);
    this.#healLater();
  }

  #badNetwork(): void {
    const { network, random, scheduler, note } = this.#options;
    note('bad network');
    Object.assign(network.faults, {
      lossPpm: random.below(250_000),
      duplicatePpm: random.below(150_000),
      delayMaxMs: random.between(2, 120),
    });
    scheduler.after(random.between(500, 4_000), () =>
      Object.assign(network.faults, { lossPpm: 0, duplicatePpm: 0, delayMaxMs: 4 }),
    );
  }

  #stall(): void {
    const { random, scheduler, note } = this.#options;
    const node = this.#node();
    note(`stall ${node.id}`);
    node.disk.stall(scheduler.nowMs + random.between(100, 2_500));
  }

  /** A write fails once; the node must stop, never retry, and come back (protocol A5). */
  #failDisk(): void {
    const { scheduler, random, note } = this.#options;
    const node = this.#node();
    note(`failing disk ${node.id}`);
    node.disk.fail(random.pick(['log', 'hard-state']), random.pick(['io', 'full']));
    scheduler.after(random.between(100, 1_500), () => {
      node.disk.heal();
      node.start();
    });
  }

  /** May this node lose something now? Damaged and lost ones together stay a minority. */
  #mayDamage(node: SimNode): boolean {
    const { nodes, damaged, lost } = this.#options;
    const hurt = new Set([...damaged, ...lost, node.id]);
    return hurt.size <= (nodes.length - 1) / 2;
  }

  /** Kills a node, hurts its disk while it is down, starts it again. */
  #hurt(what: string, damage: (node: SimNode) => void, node = this.#node()): void {
    const { scheduler, random, note, damaged } = this.#options;
    if (!this.#mayDamage(node)) return;
    note(`${what} ${node.id}`);
    node.crash(random.chance(0.5) ? 'power' : 'process');
    damaged.add(node.id);
    damage(node);
    scheduler.after(random.between(20, 1_500), () => node.start());
  }

  #damageLog(): void {
    const { random } = this.#options;
    this.#hurt('damage log', (node) => {
      const kind = random.below(3);
      if (kind === 0) node.disk.cutLog('log');
      else if (kind === 1) node.disk.vanish('log');
      else node.disk.flipBit('log');
    });
  }

  /** One copy of the hard state; the other one must do. */
  #damageHardState(): void {
    const { random } = this.#options;
    this.#hurt('damage hard state', (node) => {
      node.disk.flipSlotBit('hard-state', random.below(hardStateSlots.slotCount), hardStateSlots.slotBytes);
    });
  }

  #damageIndex(): void {
    const { random } = this.#options;
    this.#hurt('damage index', (node) => {
      const kind = random.below(4);
      if (kind === 0) node.disk.cutLog('index');
      else if (kind === 1) node.disk.vanish('index');
      else if (kind === 2) node.disk.flipBit('index');
      else node.disk.keyValues.delete('index');
    });
  }

  #jumpClock(): void {
    const { random, note } = this.#options;
    const node = this.#node();
    note(`clock ${node.id}`);
    node.skew.offsetMs += random.between(-3_600_000, 3_600_000);
  }

  #replaceDisk(): void {
    this.#hurt('replace disk', (node) => {
      node.disk.wipe();
      this.#options.lost.add(node.id);
    });
  }
}
