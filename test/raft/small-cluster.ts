/**
 * A few real cores whose messages go round by call. Who is `away` neither speaks nor is reached, and what was sent to or
 * by it is lost. Time passes only by `tick`.
 */
import type { Message } from '../../src/raft/core/message.ts';
import { asReplicaId } from '../../src/raft/core/types.ts';
import { defaultOptions, type Disk, Replica, type ReplicaOptions } from './replica.ts';

export class SmallCluster {
  readonly replicas: readonly Replica[];
  readonly #away = new Set<Replica>();
  #transit: Message[] = [];

  /** One replica per disk; `optionsOf` by number, from 1. */
  constructor(disks: readonly Disk[], optionsOf: (number: number) => Partial<ReplicaOptions> = () => ({})) {
    const voters = disks.map((_, at) => asReplicaId(`${at + 1}`));
    this.replicas = disks.map((disk, at) => {
      const options = { ...defaultOptions, ...optionsOf(at + 1) };
      return new Replica(asReplicaId(`${at + 1}`), voters, disk, options);
    });
  }

  at(number: number): Replica {
    const replica = this.replicas[number - 1];
    if (replica === undefined) throw new Error(`no replica ${number}`);
    return replica;
  }

  get leaders(): readonly Replica[] {
    return this.replicas.filter((replica) => !this.#away.has(replica) && replica.raft.role === 'leader');
  }

  away(...numbers: readonly number[]): void {
    this.#away.clear();
    for (const number of numbers) this.#away.add(this.at(number));
  }

  /** One tick for everybody who is not away. */
  tick(times = 1): void {
    for (let time = 0; time < times; time += 1) {
      for (const replica of this.replicas) if (!this.#away.has(replica)) replica.tick();
    }
  }

  /** Every disk completes, every message that is on its way now arrives; what is sent in answer stays on its way. */
  exchange(): number {
    for (const replica of this.replicas) {
      replica.persistBallot();
      replica.persistLog();
      const sent = replica.takeOutcome().sent.map(({ message }) => message);
      if (!this.#away.has(replica)) this.#transit.push(...sent);
    }
    const messages = this.#transit;
    this.#transit = [];
    for (const message of messages) {
      const receiver = this.replicas.find(({ id }) => id === message.to);
      if (receiver !== undefined && !this.#away.has(receiver)) receiver.step(message);
    }
    return messages.length;
  }

  /** Exchanges until nothing is left to say. */
  settle(): void {
    for (let round = 0; round < 100; round += 1) if (this.exchange() === 0) return;
    throw new Error('it does not settle');
  }

  /** A whole election of this replica, among those who are not away. */
  campaign(number: number): boolean {
    this.at(number).campaign();
    this.settle();
    return this.at(number).raft.role === 'leader';
  }
}
