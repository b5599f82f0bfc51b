/**
 * The load generator: a process of its own, so that what it costs is not counted as the servers'. It sends requests made
 * ahead over kept-alive connections, at the pace it is told, and looks acked traces up. Started and told what to do by
 * generator.ts.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { OtlpWorkload } from '../test/support/otlp-workload.ts';
import { EtcdSender } from './etcd-sender.ts';
import type { FromLoad, LoadOrder, LoadResult, LoadSetup, ToLoad } from './load-messages.ts';
import { QuorateSender } from './quorate-sender.ts';
import type { Sender } from './sender.ts';
import { Tally } from './tally.ts';

const openLoopWaitingMax = 2_000;
const attemptsMax = 20;

class Load {
  readonly sender: Sender;
  readonly #workload: OtlpWorkload;
  readonly #lookups: QuorateSender | undefined;
  readonly #nodes: number;
  readonly #acked: number[] = [];
  #next = 0;

  constructor({ target, ...made }: LoadSetup) {
    this.#workload = new OtlpWorkload({ ...made, startMs: Date.now() });
    if (target.kind === 'etcd') {
      this.sender = new EtcdSender(this.#workload, target.leader);
      this.#nodes = 1;
    } else {
      this.sender = this.#lookups = new QuorateSender(this.#workload, target.nodes);
      this.#nodes = target.nodes.length;
    }
  }

  async run(order: LoadOrder): Promise<LoadResult> {
    // Made before the clock runs.
    if (order.format !== undefined) this.sender.message(0, order.format);
    const tally = new Tally({ keepsAcks: order.keepsAcks });
    const startedMs = performance.now();
    const endMs = startedMs + order.seconds * 1_000;
    const work: Promise<void>[] = [];
    if (order.ingest?.kind === 'closed') {
      for (let n = 0; n < order.ingest.inFlight; n += 1) work.push(this.#sendUntil(endMs, n, order, tally));
    } else if (order.ingest !== undefined) {
      const perSecond = order.ingest.bytesPerSecond / this.sender.bytesPerRequest;
      work.push(this.#sendAtRate(perSecond, startedMs, endMs, order, tally));
    }
    for (let n = 0; n < order.lookupsInFlight; n += 1) work.push(this.#lookUntil(endMs, n, order, tally));
    await Promise.all(work);
    return tally.result(order.seconds);
  }

  async #sendUntil(endMs: number, sender: number, order: LoadOrder, tally: Tally): Promise<void> {
    while (performance.now() < endMs) await this.#send(sender, performance.now(), endMs, order, tally);
  }

  async #sendAtRate(
    perSecond: number,
    startedMs: number,
    endMs: number,
    order: LoadOrder,
    tally: Tally,
  ): Promise<void> {
    const waiting = new Set<Promise<void>>();
    for (let n = 0; ; n += 1) {
      const dueMs = startedMs + (n * 1_000) / perSecond;
      if (dueMs >= endMs) break;
      await until(dueMs);
      if (waiting.size >= openLoopWaitingMax) {
        tally.skipped += 1;
        continue;
      }
      const sent: Promise<void> = this.#send(n, dueMs, endMs, order, tally).finally(() => waiting.delete(sent));
      waiting.add(sent);
    }
    await Promise.all(waiting);
  }

  /** One request until it is acked: a 503, a 429 and a lost connection are answered by sending it again, elsewhere. */
  async #send(sender: number, sinceMs: number, endMs: number, order: LoadOrder, tally: Tally): Promise<void> {
    const { format = 'protobuf', refusalsAreFinal = false } = order;
    const index = this.#next;
    this.#next += 1;
    const message = this.sender.message(index, format);
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      try {
        const answer = await this.sender.send(message, format, this.#connection(sender + attempt, order));
        if (answer.status === 200) {
          // An answer without partial_success: every span was taken.
          if (answer.body.length > 2) tally.failed(`partial success: ${answer.body.toString('latin1')}`);
          tally.acked(sinceMs, endMs, message.spans, message.otlpBytes);
          if (format === 'protobuf') this.#acked.push(index);
          return;
        }
        if (answer.status !== 503 && answer.status !== 429) {
          tally.failed(`export answered ${answer.status}: ${answer.body.toString('latin1').slice(0, 200)}`);
          return;
        }
        if (refusalsAreFinal) {
          tally.refused(String(answer.status));
          return;
        }
        tally.retried(String(answer.status));
        await delay(1_000 * Math.random());
      } catch (error) {
        tally.failed(`export: ${sentence(error)}`);
        await delay(50);
      }
    }
    tally.failed(`an export was given up after ${attemptsMax} attempts`);
  }

  async #lookUntil(endMs: number, reader: number, order: LoadOrder, tally: Tally): Promise<void> {
    for (let n = reader; performance.now() < endMs; n += 1) {
      const index = this.#acked[Math.floor(Math.random() * this.#acked.length)];
      if (index === undefined || this.#lookups === undefined) {
        await delay(10);
        continue;
      }
      const { traceId, spanId } = this.#workload.ids(index, Math.floor(Math.random() * this.#workload.spansPerBatch));
      const sinceMs = performance.now();
      try {
        const answer = await this.#lookups.lookUp(traceId, this.#connection(n, order));
        if (answer.status === 200 && answer.body.includes(spanId)) tally.lookups.push(performance.now() - sinceMs);
        else if (answer.status === 200 || answer.status === 404) tally.lookupsWrong += 1;
        else tally.failed(`lookup answered ${answer.status}: ${answer.body.toString('latin1').slice(0, 200)}`);
      } catch (error) {
        tally.failed(`lookup: ${sentence(error)}`);
      }
      if (order.lookupPauseMs > 0) await delay(order.lookupPauseMs);
    }
  }

  /** Number `n` of the connections to the nodes that take part: to each node in turn. */
  #connection(n: number, { through }: LoadOrder): number {
    const node = through?.[n % through.length];
    return through === undefined || node === undefined ? n : node + this.#nodes * Math.floor(n / through.length);
  }
}

/** Timers have whole milliseconds; the rest is waited for turn by turn, or every latency would have it on top. */
async function until(dueMs: number): Promise<void> {
  for (let leftMs = dueMs - performance.now(); leftMs > 0; leftMs = dueMs - performance.now()) {
    await (leftMs > 2 ? delay(Math.floor(leftMs) - 1) : nextTurn());
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reply(message: FromLoad): void {
  process.send?.(message);
}

let load: Load | undefined;
process.on('disconnect', () => process.exit(1));
process.on('message', (message: ToLoad) => {
  if (message.kind === 'setup') {
    load?.sender.close();
    load = new Load(message.setup);
    const { bytesPerSpan, bytesPerRequest } = load.sender;
    reply({ kind: 'ready', bytesPerSpan, bytesPerRequest });
    return;
  }
  if (load === undefined) throw new Error('the load generator was told to run before it was set up');
  void load.run(message.order).then((result) => reply({ kind: 'result', result }));
});
