/** An ordered map in memory that can be damaged and made to fail, until the simulated one is there. */
import type { KeyValue, KeyValueOperation, KeyValueRange } from '../../src/platform/key-value.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export class MemoryKeyValue implements KeyValue {
  readonly #pairs: Map<string, Uint8Array>;
  /** Set: the next batch rejects with it and changes nothing. */
  failure: Error | null = null;
  /** Set: a batch waits for it before it is applied. */
  gate: Promise<void> | null = null;
  batches = 0;

  constructor(pairs: Map<string, Uint8Array> = new Map()) {
    this.#pairs = pairs;
  }

  /** What a crash would leave now: every batch applied so far. */
  copy(): MemoryKeyValue {
    return new MemoryKeyValue(new Map([...this.#pairs].map(([key, value]) => [key, value.slice()])));
  }

  /** Changes the value under `key`, or removes it when `change` returns undefined. */
  damage(key: Uint8Array, change: (value: Uint8Array) => Uint8Array | undefined): void {
    const changed = change((this.#pairs.get(hex(key)) ?? new Uint8Array(0)).slice());
    if (changed === undefined) this.#pairs.delete(hex(key));
    else this.#pairs.set(hex(key), changed);
  }

  allKeys(): Uint8Array[] {
    return [...this.#pairs.keys()].sort().map((key) => new Uint8Array(Buffer.from(key, 'hex')));
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#pairs.get(hex(key))?.slice());
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)));
  }

  async batch(operations: readonly KeyValueOperation[]): Promise<void> {
    await this.gate;
    if (this.failure !== null) {
      const failure = this.failure;
      this.failure = null;
      throw failure;
    }
    this.batches += 1;
    for (const operation of operations) {
      if (operation.type === 'put') this.#pairs.set(hex(operation.key), operation.value.slice());
      else this.#pairs.delete(hex(operation.key));
    }
  }

  range(options: KeyValueRange): Promise<[Uint8Array, Uint8Array][]> {
    const [gte, lt] = [hex(options.gte), hex(options.lt)];
    const keys = [...this.#pairs.keys()].filter((key) => key >= gte && key < lt).sort();
    if (options.reverse === true) keys.reverse();
    const pairs = keys.slice(0, options.limit).map((key): [Uint8Array, Uint8Array] => {
      return [new Uint8Array(Buffer.from(key, 'hex')), this.#pairs.get(key)?.slice() ?? new Uint8Array(0)];
    });
    return Promise.resolve(pairs);
  }

  async keys(options: KeyValueRange): Promise<Uint8Array[]> {
    return (await this.range(options)).map(([key]) => key);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
