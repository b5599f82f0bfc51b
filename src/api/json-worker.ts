/**
 * The thread that makes and reads large JSON (protocol D4), told what to do by json-work.ts. It works on a text only as far
 * as it is asked to, a chunk at a time, so several take turns and a reader that stopped costs nothing.
 */
import { getPriority, platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { limits } from '../limits.ts';
import { type DecodedExport, exportFromJson } from '../otlp/json-decode.ts';
import { encodingJson } from '../otlp/json-encode.ts';
import { type Chunk, type FromWorker, owned, type ToWorker, type WorkerData } from './json-messages.ts';

if (parentPort === null) throw new Error('json-worker.ts runs as a worker thread');
const port = parentPort;
const { nice } = workerData as WorkerData;
if (nice > 0 && platform() === 'linux') standBack(nice);
const texts = new Map<number, Text>();

interface Text {
  readonly pieces: Iterator<string, void, void>;
  /** What it is made of; freed when it is over, however it ends. */
  readonly traces: Uint8Array;
}

/** On Linux that is the calling thread, elsewhere the whole process. It cannot be taken back. */
function standBack(steps: number): void {
  try {
    setPriority(0, Math.min(19, getPriority(0) + steps));
  } catch {
    // Not allowed here: then it is made like everything else.
  }
}

port.on('message', (message: ToWorker) => {
  if (message.kind === 'forget') {
    end(message.text);
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
    try {
      const { decoded, buffers } = handOver(exportFromJson(message.body, message.limits));
      post({ kind: 'decoded', number, decoded }, buffers);
    } finally {
      free(message.body);
    }
    return;
  }
  if (message.kind === 'encode') {
    const { text, traces } = message;
    texts.set(text, { pieces: encodingJson(traces), traces });
  }
  const chunk = nextChunk(message.text);
  post({ kind: 'chunk', number, chunk }, [chunk.bytes.buffer as ArrayBuffer]);
}

function nextChunk(number: number): Chunk {
  const text = texts.get(number);
  if (text === undefined) throw new Error(`text ${number} is not under way`);
  let chunk = '';
  try {
    while (chunk.length < limits.jsonChunkBytes) {
      const step = text.pieces.next();
      if (step.done === true) {
        end(number);
        return { bytes: encoded(chunk), isLast: true };
      }
      chunk += step.value;
    }
  } catch (error) {
    end(number);
    throw error;
  }
  return { bytes: encoded(chunk), isLast: false };
}

function end(number: number): void {
  const text = texts.get(number);
  texts.delete(number);
  if (text !== undefined) free(text.traces);
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

/**
 * Gives the memory of bytes that came with a question back at once: each came in a buffer of its own. Left to the collector, several
 * large ones outlive their use, as nothing tells it that this thread rests (docs/memory.md).
 */
function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
