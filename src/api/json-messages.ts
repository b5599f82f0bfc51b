/** What the main thread and the JSON worker say to one another. Every question with a number has one answer. */
import type { DecodedExport } from '../otlp/json-decode.ts';

/** What may be in a JSON export. */
export interface DecodeLimits {
  readonly anyValueDepthMax: number;
}

/** What a worker is told at its start. */
export interface WorkerData {
  readonly nice: number;
}

export type ToWorker =
  /** Begins a text and asks for its first chunk. */
  | { readonly kind: 'encode'; readonly number: number; readonly text: number; readonly traces: Uint8Array }
  | { readonly kind: 'more'; readonly number: number; readonly text: number }
  /** Nobody wants the rest. */
  | { readonly kind: 'forget'; readonly text: number }
  | {
      readonly kind: 'decode';
      readonly number: number;
      readonly body: Uint8Array;
      readonly limits: DecodeLimits;
    };

export interface Chunk {
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

export type FromWorker =
  | { readonly kind: 'chunk'; readonly number: number; readonly chunk: Chunk }
  | { readonly kind: 'decoded'; readonly number: number; readonly decoded: DecodedExport }
  | { readonly kind: 'failed'; readonly number: number; readonly name: string; readonly message: string };

/**
 * The bytes in a buffer of their own, so that it can be handed over without a copy: transferring a buffer takes it from
 * whoever else has a view of it, and cloning a view would copy all of the buffer.
 */
export function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(bytes);
}
