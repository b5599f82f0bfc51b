/**
 * One seed, one run: real nodes on simulated machines, clients on all of them, faults for a while, then none for a random
 * majority, then none at all. Safety is checked after every step; afterwards all must converge, serve, and hold every
 * acknowledged span.
 */
import { limits } from '../../src/limits.ts';
import type { Logger } from '../../src/logger.ts';
import { formatRange } from '../../src/raft/core/format-level.ts';
import { asIndex, asNodeId, type NodeId, nodeIdOf, replicaIdOf } from '../../src/raft/core/types.ts';
import type { PeerMessage } from '../../src/transport/transport.ts';
import { checkHistory, HistoryRecorder } from '../support/history.ts';
import { Configurations } from './configurations.ts';
import { FaultAtlas } from './fault-atlas.ts';
import { checkReceived, checkWritten, oldFormats } from './format-levels.ts';
import { Journal, type TimedEvent } from './journal.ts';
import type { SimLinks } from './links.ts';
import { MessageLinks } from './message-links.ts';
import { Nemesis } from './nemesis.ts';
import { SimRandom } from './platform/random.ts';
import { SimScheduler } from './platform/scheduler.ts';
import { type Boot, clockToleranceMs, type Retained, SimNode } from './sim-node.ts';
import { TcpLinks } from './tcp-links.ts';
import { Violation, Witness } from './witness.ts';
import { SimWorkload, type Target } from './workload.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** 3 or 5; drawn from the seed when absent. */
  readonly nodes?: number;
  /** How long faults go on, virtual ms. */
  readonly faultMs?: number;
  /** The only faults that come, by their number in the trace. */
  readonly only?: readonly string[];
  /** Called with each event, for people. */
  readonly trace?: (line: string) => void;
  /** Keep every event for the report. */
  readonly keepEvents?: boolean;
}

export interface SimulationReport {
  readonly seed: number;
  readonly nodes: number;
  readonly simulatedMs: number;
  /** Of the scheduler. */
  readonly steps: number;
  /** Hash over all events: the same seed gives the same one. */
  readonly traceHash: string;
  readonly faults: ReadonlyMap<string, number>;
  /** What was reached at least once, of `coverageMarks`. */
  readonly marks: ReadonlySet<CoverageMark>;
  readonly acked: number;
  readonly unknown: number;
  readonly reads: number;
  /** Empty unless they were to be kept. */
  readonly events: readonly TimedEvent[];
}

/** What a run has to reach now and then, or its faults went blunt. */
export const coverageMarks = [
  'leader change',
  'leadership transfer',
  'conflict truncation',
  'recovering voter',
  're-proposed block',
  'unknown outcome',
  'index rebuild',
  'repaired entry',
  'damage met by the scrub',
  'full disk',
  'data refused for space',
  'handed over for health',
  'paged read',
  'split export',
  'joint change',
  'promotion',
  'replacement',
  'trim',
  'base install',
  'expired read',
  'clock jump',
  'TCP transport',
  'majority alone',
  'format upgrade',
] as const;
export type CoverageMark = (typeof coverageMarks)[number];

/** A run that broke a rule. The message tells which, and the events before it. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
  /** The rule alone, in one line. */
  readonly verdict: string;
  /** Numbers of the faults that came, and when it was over, virtual ms: where to begin making the seed smaller. */
  readonly faultNumbers: readonly string[];
  readonly timeMs: number;
  readonly events: readonly TimedEvent[];

  constructor(options: {
    seed: number;
    verdict: string;
    lastLines: readonly string[];
    faultNumbers: readonly string[];
    timeMs: number;
    events: readonly TimedEvent[];
    cause: Error;
  }) {
    const lines = options.lastLines.map((line) => `  ${line}`).join('\n');
    super(`seed ${options.seed}: ${options.verdict}\nlast events:\n${lines}`, { cause: options.cause });
    this.verdict = options.verdict;
    this.faultNumbers = options.faultNumbers;
    this.timeMs = options.timeMs;
    this.events = options.events;
  }
}

/** With what comes before and after, a minute of simulated time and more. */
const defaultFaultMs = 60_000;
const foundedWithinMs = 15_000;
const convergeWithinMs = 25_000;
/** Two passes of the scrub with the rest between them, and a repair. */
const scrubbedWithinMs = 25_000;
/** Ten times what a run takes: nodes that keep one another busy for nothing. */
const stepsMax = 1_000_000;
/** A minute by a clock that runs a tenth too fast. */
const reliefGapMsMin = 0.9 * limits.reliefEveryMs;
/** Of seeds; the others run over messages, which is quicker and harsher. */
const tcpShare = 0.15;
/** Of seeds: the cluster begins with binaries of before, which are replaced one after the other before the faults come. */
const upgradeShare = 0.15;
const raisedWithinMs = 10_000;

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: SimRandom;
  readonly #retention: Retained;
  readonly #scheduler = new SimScheduler();
  readonly #journal: Journal;
  readonly #marks = new Set<CoverageMark>();
  readonly #configurations: Configurations;
  readonly #atlas: FaultAtlas;
  readonly #nodes: SimNode[] = [];
  readonly #witness: Witness;
  readonly #nemesis: Nemesis;
  readonly #history: HistoryRecorder;
  readonly #workload: SimWorkload;
  /** Last entry by boot, to notice truncations; state by node, to notice changes. */
  readonly #lastIndex = new Map<string, number>();
  /** Where each node's process was when it was looked at. */
  readonly #lookedAt = new Map<NodeId, { readonly boot: Boot | null; readonly turns: number }>();
  readonly #states = new Map<NodeId, string>();
  /** What each boot has heard of the hard-state counters of the others. */
  readonly #counters = new Map<string, Map<NodeId, number>>();
  /** When each boot last handed over for the sake of its disk. */
  readonly #reliefs = new Map<string, number>();
  /** While the binaries of the founders are replaced. */
  #upgrading = false;
  #failure: Error | null = null;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new SimRandom(options.seed);
    const scheduler = this.#scheduler;
    const nowMs = (): number => scheduler.nowMs;
    this.#journal = new Journal({ nowMs, trace: options.trace, keep: options.keepEvents === true });
    const size = options.nodes ?? (this.#random.chance(0.3) ? 5 : 3);
    const spares = size < 5 ? 1 + this.#random.below(2) : this.#random.below(2);
    const ids = Array.from({ length: size + spares }, (_, n) => asNodeId(`n${n + 1}`));
    const members = ids.slice(0, size);
    const links = this.#newLinks(ids);
    this.#retention = drawRetention(this.#random.fork('retention'));
    for (const id of ids) this.#nodes.push(this.#newNode(id, members.includes(id) ? members : [], links));
    this.#upgrading = this.#random.fork('upgrade').chance(upgradeShare);
    if (this.#upgrading) for (const node of this.#nodes.slice(0, size)) node.formats = oldFormats;
    this.#configurations = new Configurations(members);
    this.#atlas = new FaultAtlas(this.#nodes, this.#configurations);
    this.#witness = new Witness({
      disks: new Map(this.#nodes.map((node) => [node.id, node.view])),
      damaged: this.#atlas.damaged,
      damagedOutside: this.#atlas.damagedOutside,
      lost: this.#atlas.lost,
      configurations: this.#configurations,
      holes: this.#atlas.holes,
      nowMs,
      ageMsMin: ageMsMinOf(this.#retention),
    });
    this.#nemesis = new Nemesis({
      nodes: this.#nodes,
      links,
      scheduler,
      random: this.#random.fork('nemesis'),
      atlas: this.#atlas,
      configurations: this.#configurations,
      voters: () => this.#voters,
      committed: () => this.#witness.highestCommitted,
      counterHeard: (node) => this.#counterHeard(node),
      broken: (sentence) => (this.#failure ??= new Violation(sentence)),
      only: options.only === undefined ? null : new Set(options.only),
      note: (what, nodes) => {
        this.#journal.add({ kind: 'fault', what, nodes });
        if (nodes.length > 0) this.#workload.stir();
      },
    });
    this.#history = new HistoryRecorder(nowMs);
    this.#workload = new SimWorkload({
      scheduler,
      random: this.#random.fork('workload'),
      history: this.#history,
      stores: () => targetsOf(this.#nodes.filter((node) => this.#mayServe(node))),
      broken: (sentence) => (this.#failure ??= new Violation(sentence)),
      expired: (spanIds, base) => this.#witness.expired(spanIds, base),
      acknowledged: (spanIds, node) => this.#guard(() => this.#witness.acknowledged(spanIds, node)),
      note: (operation) => this.#journal.add({ kind: 'client', ...operation }),
    });
  }

  /** Whoever may be a voter, as far as anybody knows. */
  #mayServe(node: SimNode): boolean {
    return node.store?.replicaStatus != null || this.#atlas.counts(node);
  }

  get #voters(): readonly SimNode[] {
    const { newest } = this.#configurations;
    if (newest === null) return this.#nodes.filter((node) => this.#atlas.counts(node));
    return this.#nodes.filter(({ id }) => newest.voters.some((voter) => nodeIdOf(voter) === id));
  }

  /** Who is, or becomes by itself, a voter. */
  get #members(): readonly SimNode[] {
    const { newest } = this.#configurations;
    const learners = new Set(newest?.learners.map(({ replica }) => replica));
    const isLearner = ({ id, view }: SimNode): boolean =>
      learners.has(replicaIdOf(id, view.hardState()?.incarnation ?? ''));
    return this.#nodes.filter((node) => this.#voters.includes(node) || isLearner(node));
  }

  #newLinks(members: readonly NodeId[]): SimLinks {
    const scheduler = this.#scheduler;
    const random = this.#random.fork('network');
    if (this.#random.chance(tcpShare)) {
      this.#marks.add('TCP transport');
      const skew = (id: NodeId): SimNode['skew'] => this.#node(id).skew;
      return new TcpLinks({ scheduler, random, members, skew });
    }
    return new MessageLinks({ scheduler, random, note: (text) => this.#journal.add({ kind: 'note', text }) });
  }

  #newNode(id: NodeId, members: readonly NodeId[], links: SimLinks): SimNode {
    return new SimNode({
      id,
      members,
      scheduler: this.#scheduler,
      random: this.#random.fork(id),
      links,
      retention: this.#retention,
      logger: this.#logger(id),
      watch: {
        leaving: (from, _to, message) => this.#guard(() => this.#witness.message(from, message)),
        delivered: (from, to, message, sentMs) => {
          this.#heard(from, to, message);
          if (this.#upgrading) this.#guard(() => checkReceived(this.#node(to), message));
          this.#journal.add({ kind: 'message', from, to, name: nameOf(message), sentMs });
        },
        written: (entry) => {
          this.#configurations.written(entry);
          this.#guard(() => this.#witness.written(entry));
          if (this.#upgrading) this.#guard(() => checkWritten(this.#node(id), entry, this.#members));
        },
        committed: (node, boot, entry) => this.#guard(() => this.#witness.applied(node, boot, entry)),
        failed: (node, error) => this.#stopped(node, error),
      },
    });
  }

  #node(id: NodeId): SimNode {
    const found = this.#nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  async run(): Promise<SimulationReport> {
    try {
      for (const node of this.#nodes) node.start();
      await this.#until(foundedWithinMs, 'the cluster is founded', () =>
        this.#nodes.some(({ store }) => store?.replicaStatus?.leader != null),
      );
      this.#workload.start();
      if (this.#upgrading) await this.#upgrade();
      this.#nemesis.start();
      await this.#advance(this.#options.faultMs ?? defaultFaultMs);
      this.#workload.stop();
      const { well, everyone } = this.#nemesis.healMajority();
      const names = well.map(({ id }) => id).join(' ');
      await this.#converge((node) => well.includes(node), everyone, `${names} are ready and equal by themselves`);
      this.#nemesis.healAll();
      if (!everyone) await this.#converge(() => true, true, 'all members are ready and equal');
      await this.#until(
        scrubbedWithinMs,
        'every disk of a member holds every committed entry, and nothing that was trimmed',
        () => this.#areDisksWhole(this.#members),
        'X7',
      );
      this.#checkHistory();
    } catch (error) {
      throw this.#explain(error);
    }
    return this.#report();
  }

  /** One founder after the other gets the new binary, under load, while others come and go with what they have. */
  async #upgrade(): Promise<void> {
    const random = this.#random.fork('upgrades');
    const founders = this.#members;
    for (const node of random.shuffle(founders)) {
      await this.#advance(random.below(1_500));
      const other = random.pick(founders);
      const crashes = other !== node && random.chance(0.5);
      if (crashes) other.crash(random.chance(0.5) ? 'power' : 'process');
      await this.#complete(node.stop());
      // At once: whoever brought it down before may start it again, too.
      node.formats = formatRange;
      await this.#advance(random.below(500));
      for (const one of crashes ? random.shuffle([node, other]) : [node]) {
        one.start();
        await this.#advance(random.below(500));
      }
    }
    await this.#until(raisedWithinMs, 'the format level is raised', () =>
      founders.every(({ store }) => store?.replicaStatus?.formatLevel === formatRange.newest),
    );
    this.#upgrading = false;
    this.#marks.add('format upgrade');
  }

  #report(): SimulationReport {
    const { acked, unknown, reads, pagedReads, splitExports } = this.#workload.counts;
    const marks: [CoverageMark, boolean][] = [
      ['leader change', this.#witness.leaderChanges > 1],
      ['re-proposed block', this.#witness.reproposed],
      ['unknown outcome', unknown > 0],
      ['full disk', this.#nodes.some(({ disk }) => disk.metFull)],
      ['data refused for space', this.#workload.counts.refusedForSpace > 0],
      ['paged read', pagedReads > 0],
      ['split export', splitExports > 0],
      ['trim', this.#witness.trims > 0],
      ['base install', this.#witness.installedBase],
      ['expired read', this.#workload.counts.expiredReads > 0],
      ['clock jump', this.#nemesis.counts.has('clock jump')],
      ['joint change', this.#configurations.sawJoint],
      ['promotion', this.#configurations.sawPromotion],
      ['replacement', this.#configurations.sawReplacement],
    ];
    for (const [mark, reached] of marks) if (reached) this.#marks.add(mark);
    return {
      seed: this.#options.seed,
      nodes: this.#nodes.length,
      simulatedMs: this.#scheduler.nowMs,
      steps: this.#scheduler.events,
      traceHash: this.#journal.digest(),
      faults: this.#nemesis.counts,
      marks: this.#marks,
      acked,
      unknown,
      reads,
      events: this.#journal.events,
    };
  }

  /**
   * The members that are `there` become ready and equal, take a write each, and have all that was ever acknowledged. They are
   * equal, so one of a majority speaks for it; at the end all are asked.
   */
  async #converge(there: (node: SimNode) => boolean, everyone: boolean, what: string): Promise<void> {
    if (!everyone) this.#marks.add('majority alone');
    const members = (): readonly SimNode[] => this.#members.filter(there);
    const equal = (): boolean =>
      members().every(({ store }) => store?.ready === true && store.refusal === null) &&
      new Set(members().map(({ store }) => store?.replicaStatus?.applied)).size === 1;
    await this.#until(convergeWithinMs, what, equal);
    const nodes = members();
    for (const target of targetsOf(nodes)) {
      const written = this.#workload.write('at last', target, this.#workload.request());
      if (!(await this.#complete(written)) && this.#isMember(target))
        throw new Violation(`L1: ${target.id} takes no write though all is well`);
    }
    const readers = targetsOf(everyone ? nodes : [this.#random.pick(nodes)]);
    for (const target of readers) {
      for (const trace of this.#workload.traces) await this.#readAtLast(target, trace);
    }
    this.#checkGuards();
  }

  /** Still: a change that was asked for before may have taken it out meanwhile. */
  #isMember({ id }: Target): boolean {
    return this.#members.some((node) => node.id === id);
  }

  /** Each committed entry stands on the disk of each of these nodes, whole and the same: the scrub has seen to it. */
  #areDisksWhole(nodes: readonly SimNode[]): boolean {
    const [one, ...others] = nodes;
    if (one === undefined) return true;
    if (nodes.some(({ view }) => view.trimmedEntries > 0)) return false;
    const base = Math.max(...nodes.map(({ view }) => view.base));
    for (let index = this.#witness.highestCommitted; index > base; index -= 1) {
      const hash = one.view.entry(asIndex(index))?.hash;
      if (hash === undefined || others.some(({ view }) => view.entry(asIndex(index))?.hash !== hash)) return false;
    }
    return true;
  }

  #checkHistory(): void {
    const verdict = checkHistory(this.#history.history());
    if (!verdict.ok) throw new Violation(`C1: ${verdict.fault} on trace ${verdict.trace}: ${verdict.explanation}`);
  }

  /** A first read may find the index damaged and be told to come back; after that it must be answered. */
  async #readAtLast(target: Target, trace: string): Promise<void> {
    for (let attempt = 0; attempt < 20 && this.#isMember(target); attempt += 1) {
      if (await this.#complete(this.#workload.read('at last', target, trace))) return;
      await this.#advance(100);
    }
    if (!this.#isMember(target)) return;
    throw new Violation(`L1: ${target.id} cannot read trace ${trace} though all is well`);
  }

  /** What an operation of a node or a client comes to. */
  async #complete<Result>(operation: Promise<Result>): Promise<Result> {
    try {
      return await this.#scheduler.complete(operation, () => this.#settled());
    } finally {
      this.#checkGuards();
    }
  }

  async #advance(durationMs: number): Promise<void> {
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs + durationMs, settled: () => this.#settled() });
    this.#checkGuards();
  }

  async #until(patienceMs: number, what: string, reached: () => boolean, rule = 'L1'): Promise<void> {
    let done = false;
    const untilMs = this.#scheduler.nowMs + patienceMs;
    await this.#scheduler.run({
      untilMs,
      settled: () => {
        if (this.#settled()) return true;
        return (done = reached());
      },
    });
    this.#checkGuards();
    if (!done)
      throw new Violation(`${rule}: within ${patienceMs} ms it did not come true that ${what}${this.#describeNodes()}`);
  }

  #describeNodes(): string {
    return this.#nodes
      .map(({ id, store }) => `\n  ${id}: ${store?.status.waiting ?? 'down'} ${JSON.stringify(store?.replicaStatus)}`)
      .join('');
  }

  /** After every event: the invariants that need only a look. True stops the run: something is broken. */
  #settled(): boolean {
    this.#guard(() => {
      if (this.#scheduler.events > stepsMax)
        throw new Violation(`L3: it does not come to rest within ${stepsMax} steps`);
      for (const node of this.#nodes) this.#look(node);
    });
    return this.#failure !== null;
  }

  #look(node: SimNode): void {
    const { id, boot } = node;
    const before = this.#lookedAt.get(id);
    const turns = boot?.process.turns ?? 0;
    if (before !== undefined && before.boot === boot && before.turns === turns) return;
    this.#lookedAt.set(id, { boot, turns });
    const status = boot?.store?.replicaStatus;
    const state = boot === null ? 'down' : boot.process.paused ? 'paused' : (status?.role ?? 'starting');
    if (this.#states.get(id) !== state) {
      this.#states.set(id, state);
      this.#journal.add({ kind: 'state', node: id, state, term: status?.term ?? 0 });
    }
    if (boot == null || status == null) return;
    const replica = replicaIdOf(id, node.view.hardState()?.incarnation ?? '');
    if (this.#atlas.goneReplicas.has(replica))
      throw new Violation(`I3: ${id} lost all that it had promised, and takes part again as ${replica}`);
    this.#witness.status(id, boot.name, status, boot.process);
    this.#witness.ready(id, boot.name, status, boot.store?.ready === true);
    if (status.lostPromise !== null) this.#marks.add('recovering voter');
    else if (status.applied >= this.#witness.highestCommitted)
      this.#atlas.caughtUp(node, this.#witness.highestCommitted);
    if (status.last < (this.#lastIndex.get(boot.name) ?? 0)) {
      this.#marks.add('conflict truncation');
      this.#nemesis.replacedEntries(node);
    }
    this.#lastIndex.set(boot.name, status.last);
  }

  #heard(from: NodeId, to: NodeId, message: PeerMessage): void {
    if (message.kind !== 'report') return;
    const boot = this.#node(to).boot?.name ?? '';
    const heard = this.#counters.get(boot) ?? new Map<NodeId, number>();
    this.#counters.set(boot, heard.set(from, message.hardStateCounter));
  }

  #counterHeard(node: SimNode): number {
    const others = this.#voters.filter((other) => other !== node);
    return Math.min(...others.map(({ boot }) => this.#counters.get(boot?.name ?? '')?.get(node.id) ?? 0));
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #checkGuards(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** A node stopped by itself: right after a write error, or because it must stay away; a bug otherwise. */
  #stopped(node: SimNode, error: Error): void {
    this.#journal.add({ kind: 'note', text: `stopped ${node.id}: ${error.message}` });
    if (node.disk.failWrites.size > 0 || node.disk.space.isFilled || this.#atlas.lost.has(node.id)) return;
    this.#failure ??= new Violation(`A1: ${node.id} stopped by itself: ${error.stack ?? error.message}`);
  }

  #logger(id: NodeId): Logger {
    const note = (level: string) => (fields: object, sentence: string) => {
      if (sentence.startsWith('the index is rebuilt')) this.#marks.add('index rebuild');
      if (sentence === 'handed the lead over') this.#handedOver(id, fields);
      if (sentence === 'a damaged entry of the log was repaired') this.#marks.add('repaired entry');
      if (sentence === 'the scrub met damage') this.#marks.add('damage met by the scrub');
      if (sentence.includes('found') && sentence.endsWith('the cluster')) this.#nemesis.founding(this.#node(id));
      if (this.#options.trace !== undefined) this.#journal.say(`${id} ${level}: ${sentence} ${JSON.stringify(fields)}`);
    };
    return { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  }

  /** For the sake of its disk a leader goes at most once a minute, by its own clock (protocol G3). */
  #handedOver(id: NodeId, fields: object): void {
    this.#marks.add('leadership transfer');
    const why = 'why' in fields ? fields.why : null;
    if (why !== 'slow disk' && why !== 'low space') return;
    this.#marks.add('handed over for health');
    const boot = this.#node(id).boot?.name ?? '';
    const before = this.#reliefs.get(boot);
    this.#reliefs.set(boot, this.#scheduler.nowMs);
    if (before !== undefined && this.#scheduler.nowMs - before < reliefGapMsMin)
      this.#failure ??= new Violation(`T5: ${id} handed over for ${why} twice within a minute`);
  }

  #explain(error: unknown): SimulationFailure {
    const cause = this.#failure ?? (error instanceof Error ? error : new Error(String(error)));
    return new SimulationFailure({
      seed: this.#options.seed,
      verdict: cause instanceof Violation ? cause.message : (cause.stack ?? cause.message),
      lastLines: this.#journal.lastLines,
      faultNumbers: this.#nemesis.numbers,
      timeMs: this.#scheduler.nowMs,
      events: this.#journal.events,
      cause,
    });
  }
}

/** Of most seeds something expires: by age in some seconds, or by bytes after some dozens of exports. */
function drawRetention(random: SimRandom): Retained {
  const by = random.pick(['nothing', 'age', 'age', 'both', 'bytes', 'bytes']);
  return {
    ageMs: by === 'age' || by === 'both' ? random.between(5_000, 20_000) : null,
    bytes: by === 'bytes' || by === 'both' ? random.between(8_000, 60_000) : null,
  };
}

/** Entry times and the time that age goes by may each be off by the tolerance, and chips run a tenth too fast. */
function ageMsMinOf({ ageMs, bytes }: Retained): number | null {
  return ageMs === null || bytes !== null ? null : 0.9 * ageMs - 2 * clockToleranceMs;
}

function targetsOf(nodes: readonly SimNode[]): Target[] {
  return nodes.flatMap(({ id, boot }) =>
    boot?.store == null ? [] : [{ id, store: boot.store, process: boot.process }],
  );
}

function nameOf(message: PeerMessage): string {
  return message.kind === 'raft' ? message.message.type : message.kind;
}
