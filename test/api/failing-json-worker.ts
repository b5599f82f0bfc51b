/** A JSON thread that gives the first chunk of a text, and fails at whatever it is asked next. */
import { parentPort } from 'node:worker_threads';
import type { FromWorker, ToWorker } from '../../src/api/json-messages.ts';

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind !== 'encode') throw new Error('planted failure');
  const bytes = Buffer.from('{"resourceSpans":[');
  parentPort?.postMessage(
    {
      kind: 'chunk',
      number: message.number,
      chunk: { bytes, isLast: false },
    } satisfies FromWorker,
    [],
  );
});
