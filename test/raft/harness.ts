/**
 * Runs scripted scenarios: real cores, messages delivered by hand, disks that complete writes by hand.
 *
 * A message that depends on a ballot which its sender has not made durable does not leave: delivering it shows
 * `held: ballot not durable` (the driver's half of bug E3). The commands are explained in scenarios/README.md.
 */
import type { Message } from '../../src/raft/core/message.ts';
import { InvariantError } from '../../src/raft/core/invariant.ts';
import { asHash, asIndex, asReplicaId, asTerm, type LogPosition, type ReplicaId } from '../../src/raft/core/types.ts';
import { changeText, entriesText, messageText, position, stateText, summary, writeText } from './print.ts';
import { commitIndexText, voteResultText } from './quorum-commands.ts';
import { defaultOptions, diskOf, logOfTerms, Replica, type ReplicaOptions, type Sent } from './replica.ts';

/** Which messages a command means: `1->2 append first`. */
interface Selector {
  readonly matches: (message: Message) => boolean;
  readonly which: 'all' | 'first' | 'last';
}

export class Harness {
  readonly #replicas = new Map<ReplicaId, Replica>();
  /** In the order they were sent. */
  #transit: Sent[] = [];
  #delayed: Sent[] = [];
  #cuts: ((message: Message) => boolean)[] = [];
  #lines: string[] = [];
  #quiet = false;

  /** Executes one command and returns what it printed. Errors of the script throw; broken invariants are printed. */
  run(line: string): string[] {
    this.#lines = [];
    this.#quiet = false;
    const words = line.trim().split(/\s+/);
    try {
      this.#execute(words[0] ?? '', words.slice(1));
    } catch (error) {
      if (!(error instanceof InvariantError)) throw new Error(`in "${line}": ${String(error)}`, { cause: error });
      this.#lines.push(`stopped by an invariant: ${error.message}`);
    }
    return this.#lines;
  }

  #execute(command: string, words: readonly string[]): void {
    const { names, settings } = parse(words);
    switch (command) {
      case 'nodes':
        return this.#boot(Number(names[0]), settings);
      case 'disk':
        return this.#found(this.#replica(names[0]), settings);
      case 'campaign':
        return this.#each(names[0], (replica) => replica.campaign());
      case 'elect':
        return this.#elect(this.#replica(names[0]));
      case 'tick':
        return this.#tick(names[0], Number((names[1] ?? 'x1').slice(1)));
      case 'deliver':
        return this.#select(names).forEach((sent) => this.#deliver(sent));
      case 'drop':
        return this.#select(names).forEach((sent) => this.#remove(sent));
      case 'duplicate':
        this.#transit.push(...this.#select(names));
        return;
      case 'delay':
        return this.#delay(this.#select(names));
      case 'resume':
        return this.#resume();
      case 'cut':
        this.#cuts.push(selector(names).matches);
        return;
      case 'heal':
        this.#cuts = [];
        return;
      case 'persist':
        return this.#each(names[0], (replica) => {
          replica.persistBallot();
          replica.persistLog();
        });
      case 'persist-ballot':
        return this.#each(names[0], (replica) => replica.persistBallot());
      case 'persist-log':
        return this.#each(names[0], (replica) => replica.persistLog(names[1] === 'one' ? 1 : undefined));
      case 'propose':
        return this.#propose(this.#replica(names[0]), names.slice(1));
      case 'change':
        return this.#change(this.#replica(names[0]), names.slice(1), settings);
      case 'transfer':
        return this.#transfer(this.#replica(names[0]), asReplicaId(names[1] ?? ''));
      case 'trim':
        return this.#trim(this.#replica(names[0]), Number(names[1]));
      case 'read':
        return this.#each(names[0], (replica) => replica.read(names[1] ?? 'r'));
      case 'unreachable':
        return this.#each(names[0], (replica) => replica.unreachable(asReplicaId(names[1] ?? '')));
      case 'stabilize':
        return this.#stabilize(names.filter((name) => name !== 'quietly')[0], names.includes('quietly'));
      case 'crash':
        return this.#crash(this.#replica(names[0]));
      case 'restart':
        return this.#restart(this.#replica(names[0]), settings);
      case 'state':
        return this.#show(names[0], (replica) => stateText(replica));
      case 'log':
        return this.#show(names[0], (replica) => [`${replica.id} ${entriesText(replica.entries)}`]);
      case 'durable':
        return this.#show(names[0], durableText);
      case 'messages':
        this.#lines.push(...this.#transit.map((sent) => this.#sentText(sent)));
        return;
      case 'commit-index':
        this.#lines.push(commitIndexText(names));
        return;
      case 'vote-result':
        this.#lines.push(voteResultText(names));
        return;
      default:
        throw new Error(`no such command: ${command}`);
    }
  }

  #boot(count: number, settings: ReadonlyMap<string, string>): void {
    this.#replicas.clear();
    this.#transit = [];
    this.#delayed = [];
    this.#cuts = [];
    const voters = Array.from({ length: count }, (_, at) => asReplicaId(`${at + 1}`));
    const number = (name: string, otherwise: number): number => Number(settings.get(name) ?? otherwise);
    const options: ReplicaOptions = {
      ...defaultOptions,
      history: new Map(),
      window: { ...defaultOptions.window, messagesMax: number('window', defaultOptions.window.messagesMax) },
      appendEntriesMax: number('append-entries', defaultOptions.appendEntriesMax),
    };
    for (const id of voters) this.#replicas.set(id, new Replica(id, voters, diskFrom(settings), options));
    const spares = Array.from({ length: number('spares', 0) }, (_, at) => asReplicaId(`${count + at + 1}`));
    for (const id of spares) this.#replicas.set(id, new Replica(id, voters, diskOf({}), options));
  }

  /** Replaces what a replica found on its disk, before anything happened. */
  #found(replica: Replica, settings: ReadonlyMap<string, string>): void {
    replica.crash();
    Object.assign(replica.disk, diskFrom(settings));
    replica.restart();
    replica.takeOutcome();
  }

  #replica(name: string | undefined): Replica {
    const replica = this.#replicas.get(asReplicaId(name ?? ''));
    if (replica === undefined) throw new Error(`no replica ${name}`);
    return replica;
  }

  #named(names: string | undefined): Replica[] {
    if (names === '') return [];
    if (names === undefined || names === '*') return [...this.#replicas.values()];
    return names.split(',').map((name) => this.#replica(name));
  }

  #each(names: string | undefined, action: (replica: Replica) => void): void {
    for (const replica of this.#named(names)) {
      if (replica.running) this.#watch(replica, () => action(replica));
    }
  }

  #show(names: string | undefined, text: (replica: Replica) => string[]): void {
    for (const replica of this.#named(names)) this.#lines.push(...text(replica));
  }

  /** Runs one action on a replica, prints what changed and what it asks for, takes over what it sends. */
  #watch(replica: Replica, action: () => void): void {
    const before = summary(replica);
    action();
    const outcome = replica.takeOutcome();
    const change = changeText(replica.id, before, summary(replica));
    if (change !== null) this.#lines.push(change);
    for (const read of outcome.reads) {
      this.#lines.push(
        `${replica.id}: read ${read.requestId} ${read.index === null ? 'not confirmed' : `at index ${read.index}`}`,
      );
    }
    if (!this.#quiet) {
      for (const write of outcome.writes) this.#lines.push(`  write ${writeText(write)}`);
      for (const sent of outcome.sent) this.#lines.push(`  send ${messageText(sent.message)}`);
    }
    this.#transit.push(...outcome.sent.filter(({ message }) => !this.#cuts.some((isCut) => isCut(message))));
  }

  /** A whole election, where a scenario is about what comes after it. */
  #elect(replica: Replica): void {
    this.#each(replica.id, () => replica.campaign());
    this.#stabilize(undefined, true);
    this.#lines = [replica.raft.role === 'leader' ? `${replica.id} leads term ${replica.raft.term}` : 'not elected'];
  }

  #tick(names: string | undefined, times: number): void {
    for (let time = 0; time < times; time += 1) this.#each(names, (replica) => replica.tick());
  }

  #select(names: readonly string[]): Sent[] {
    const { matches, which } = selector(names);
    const all = this.#transit.filter(({ message }) => matches(message));
    if (all.length === 0) this.#lines.push('no such message');
    if (which === 'all') return all;
    return which === 'first' ? all.slice(0, 1) : all.slice(-1);
  }

  #remove(sent: Sent): void {
    this.#transit.splice(this.#transit.indexOf(sent), 1);
  }

  #held(sent: Sent): boolean {
    const sender = this.#replica(sent.message.from);
    return sender.running && sender.holds(sent.ballot);
  }

  #sentText(sent: Sent): string {
    return `${messageText(sent.message)}${this.#held(sent) ? ' (held: ballot not durable)' : ''}`;
  }

  #deliver(sent: Sent): void {
    if (this.#held(sent)) {
      this.#lines.push(`held: ballot not durable: ${messageText(sent.message)}`);
      return;
    }
    this.#remove(sent);
    const receiver = this.#replica(sent.message.to);
    if (!this.#quiet)
      this.#lines.push(`${messageText(sent.message)}${receiver.running ? '' : ' (lost: receiver down)'}`);
    if (receiver.running) this.#watch(receiver, () => receiver.step(sent.message));
  }

  #delay(messages: readonly Sent[]): void {
    for (const sent of messages) {
      if (this.#held(sent)) throw new Error(`held, so it is not on its way: ${messageText(sent.message)}`);
      this.#remove(sent);
      this.#delayed.push(sent);
    }
  }

  #resume(): void {
    this.#transit.push(...this.#delayed);
    this.#delayed = [];
  }

  /** Completes every write of some and delivers every message between them until nothing is left. Time stands still. */
  #stabilize(names: string | undefined, quietly: boolean): void {
    this.#quiet = quietly;
    const some = this.#named(names);
    const ids = new Set(some.map((replica) => replica.id));
    for (let round = 0; round < 1_000; round += 1) {
      const writing = some.filter((replica) => replica.unwritten.length > 0 || replica.unwrittenBallot !== null);
      this.#each(writing.map((replica) => replica.id).join(','), (replica) => {
        replica.persistBallot();
        replica.persistLog();
      });
      const ready = this.#transit.filter((sent) => {
        return ids.has(sent.message.from) && ids.has(sent.message.to) && !this.#held(sent);
      });
      if (writing.length === 0 && ready.length === 0) return;
      for (const sent of ready) this.#deliver(sent);
    }
    throw new Error('it does not become stable');
  }

  #propose(replica: Replica, payloads: readonly string[]): void {
    this.#watch(replica, () => {
      const result = replica.propose(...payloads);
      if (result !== 'appended') this.#lines.push(`${replica.id}: ${result}`);
    });
  }

  #change(replica: Replica, [kind, name]: readonly string[], settings: ReadonlyMap<string, string>): void {
    const other = asReplicaId(name ?? '');
    const replaced = settings.get('replaces');
    const expected = settings.get('expecting');
    const replaces = replaced === undefined ? null : asReplicaId(replaced);
    this.#watch(replica, () => {
      const result = replica.change(
        kind === 'add' ? { kind, replica: other, replaces, addresses: {} } : { kind: 'remove', replica: other },
        expected === undefined ? null : asIndex(Number(expected)),
      );
      if (result.outcome !== 'appended')
        this.#lines.push(`${replica.id}: ${result.outcome === 'refused' ? result.why : result.outcome}`);
    });
  }

  #trim(replica: Replica, index: number): void {
    this.#watch(replica, () => {
      const result = replica.trim(index);
      if (result !== 'appended') this.#lines.push(`${replica.id}: ${result}`);
    });
  }

  #transfer(replica: Replica, target: ReplicaId): void {
    this.#watch(replica, () => {
      const result = replica.transfer(target);
      if (result !== 'begun') this.#lines.push(`${replica.id}: ${result}`);
    });
  }

  #crash(replica: Replica): void {
    this.#transit = this.#transit.filter((sent) => sent.message.from !== replica.id || !this.#held(sent));
    replica.crash();
  }

  #restart(replica: Replica, settings: ReadonlyMap<string, string>): void {
    const loseFrom = settings.get('lose-log-from');
    if (replica.running) this.#crash(replica);
    replica.restart(loseFrom === undefined ? undefined : Number(loseFrom));
    this.#lines.push(...stateText(replica));
  }
}

function durableText(replica: Replica): string[] {
  const { ballot, entries, promise, commit } = replica.disk;
  const vote = ballot.vote ?? '-';
  return [
    `${replica.id} term=${ballot.term} vote=${vote} promise=${position(promise)} commit=${commit} ${entriesText(entries)}`,
  ];
}

function parse(words: readonly string[]): { names: string[]; settings: Map<string, string> } {
  const isSetting = (word: string): boolean => /^[a-z-]+=/.test(word);
  const settings = words.filter(isSetting).map((word): [string, string] => {
    const [name = '', value = ''] = word.split('=');
    return [name, value];
  });
  return { names: words.filter((word) => !isSetting(word)), settings: new Map(settings) };
}

function diskFrom(settings: ReadonlyMap<string, string>): ReturnType<typeof diskOf> {
  const log = settings.get('log');
  const term = settings.get('term');
  const vote = settings.get('vote');
  const promise = settings.get('promise');
  return diskOf({
    terms: log === undefined || log === '' ? [] : log.split(',').map(Number),
    ...(term === undefined ? {} : { term: Number(term) }),
    ...(vote === undefined ? {} : { vote: asReplicaId(vote) }),
    ...(promise === undefined ? {} : { promise: promisedTail(promise) }),
    commit: Number(settings.get('commit') ?? 0),
  });
}

/** The tail of a log of these terms: `promise=1,1,2`. */
function promisedTail(terms: string): LogPosition {
  const tail = logOfTerms(terms.split(',').map(Number)).at(-1);
  return tail ?? { index: asIndex(0), term: asTerm(0), hash: asHash('') };
}

/** `1->2 append first`: sender, receiver (`*`: any), type (any), which of them (all). */
function selector(words: readonly string[]): Selector {
  const [from = '*', to = '*'] = (words[0] ?? '*->*').split('->');
  const which = words.find((word) => word === 'first' || word === 'last') ?? 'all';
  const type = words.slice(1).find((word) => word !== which);
  const among = (names: string, id: ReplicaId): boolean =>
    names === '*' || names.split(',').some((name) => name === id);
  return {
    which: which === 'first' || which === 'last' ? which : 'all',
    matches: (message) =>
      among(from, message.from) && among(to, message.to) && (type === undefined || message.type === type),
  };
}
