/**
 * The thread that makes and reads large JSON (protocol D4), told what to do by json-work.ts. It works on a text only as far
 * as it is asked to, a chunk at a time, so several take turns and a reader that stopped costs nothing.
 */
import { platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { limits } from '../limits.ts';
import { type DecodedExport, exportFromJson } from '../otlp/json-decode.ts';
import { encodingJson } from '../otlp/json-encode.ts';
import { type Chunk, type FromWorker, owned, type ToWorker, type WorkerData } from './json-messages.ts';

if (parentPort === null) throw new Error('json-worker.ts runs as a worker thread');
const port = parentPort;
const { nice } = workerData as WorkerData;
// Of the calling thread on Linux, of the whole process elsewhere. It cannot be taken back.
if (nice > 0 && platform() === 'linux') setPriority(0, nice);
const texts = new Map<number, Iterator<string, void, void>>();

port.on('message', (message: ToWorker) => {
  if (message.kind === 'forget') {
    texts.delete(message.text);
    return;
  }
  try {
    answer(message);
  } catch (error) {
    const { name, message: sentence } = error instanceof Error ? error : new Error(String(error));
    post({ kind: 'failed', number: message.number, name, message: sentence }, []);
  }
});

function answer(message: Exclude<ToWorker, { kind: 'forget' }>): void {
  const { number } = message;
  if (message.kind === 'decode') {
    const { decoded, buffers } = handOver(exportFromJson(message.body, message.limits));
    post({ kind: 'decoded', number, decoded }, buffers);
    return;
  }
  if (message.kind === 'encode') texts.set(message.text, encodingJson(message.traces));
  const chunk = nextChunk(message.text);
  post({ kind: 'chunk', number, chunk }, [chunk.bytes.buffer as ArrayBuffer]);
}

function nextChunk(number: number): Chunk {
  const pieces = texts.get(number);
  if (pieces === undefined) throw new Error(`text ${number} is not under way`);
  // Whatever comes of it: a text that failed is over.
  texts.delete(number);
  let text = '';
  while (text.length < limits.jsonChunkBytes) {
    const step = pieces.next();
    if (step.done === true) return { bytes: encoded(text), isLast: true };
    text += step.value;
  }
  texts.set(number, pieces);
  return { bytes: encoded(text), isLast: false };
}

function encoded(text: string): Uint8Array {
  return owned(new TextEncoder().encode(text));
}

/** The result in a buffer that can be transferred. */
function handOver({ request, hint }: DecodedExport): { decoded: DecodedExport; buffers: ArrayBuffer[] } {
  const bytes = owned(request);
  return { decoded: { request: bytes, hint }, buffers: [bytes.buffer] };
}

function post(message: FromWorker, buffers: ArrayBuffer[]): void {
  port.postMessage(message, buffers);
}
