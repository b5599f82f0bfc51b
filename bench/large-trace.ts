/** One trace of 100,000 realistic spans: stored, then read again and again while other load goes on (protocol D4). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { walkExport } from '../src/otlp/walk.ts';
import { limits } from '../src/limits.ts';
import { type HttpAnswer, HttpClient } from '../test/support/http.ts';
import { OtlpWorkload } from '../test/support/otlp-workload.ts';

const spansTotal = 100_000;
const spansPerExport = 500;
const sendersAtOnce = 4;
const timeoutMs = 30_000;
const traceId = '7261636520666f722074686520626e68';

/** Sends it, a few exports at a time, so that it lies in many blocks. Resolves with what was acknowledged. */
export async function storeLargeTrace(url: string): Promise<{ spans: number; otlpBytes: number }> {
  const exports = spansTotal / spansPerExport;
  const workload = new OtlpWorkload({ seed: 7, batches: exports, spansPerBatch: spansPerExport, startMs: Date.now() });
  const client = new HttpClient(url);
  const headers = { 'content-type': 'application/x-protobuf' };
  const left = Array.from({ length: exports }, (_, n) => n).values();
  let otlpBytes = 0;
  const send = async (): Promise<void> => {
    for (const index of left) {
      const body = workload.body(index);
      for (const at of walkExport(body, limits).spans.traceIdAt) body.write(traceId, at, 'hex');
      const { status } = await client.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs });
      if (status !== 200) throw new Error(`an export of the large trace was answered ${status}`);
      otlpBytes += body.length;
    }
  };
  try {
    await Promise.all(Array.from({ length: sendersAtOnce }, send));
    return { spans: spansTotal, otlpBytes };
  } finally {
    client.close();
  }
}

/** Reads it as JSON, all pages, until told to stop. How long each whole read took, in ms. */
export async function readLargeTrace(url: string, isStopped: () => boolean): Promise<number[]> {
  const client = new HttpClient(url);
  const took: number[] = [];
  try {
    while (!isStopped()) {
      const since = performance.now();
      let path: string | undefined = `/api/v1/traces/${traceId}`;
      while (path !== undefined) {
        const { status, headers }: HttpAnswer = await client.send({ path, timeoutMs });
        if (status !== 200) throw new Error(`a page of the large trace was answered ${status}`);
        path = /<([^>]+)>/.exec([headers['link']].join())?.[1];
      }
      took.push(performance.now() - since);
      await nextTurn();
    }
  } finally {
    client.close();
  }
  return took;
}
