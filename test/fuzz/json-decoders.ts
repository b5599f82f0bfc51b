/** The decoders of OTLP JSON that must agree. */
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';
import { referenceFromJson } from '../otlp/json-reference.ts';

/** The bytes of the export in OTLP JSON text, or why it is refused. Throws what no text may cause. */
export type JsonDecoder = (text: Uint8Array) => Uint8Array | JsonError;

const refusing =
  (decode: (text: Uint8Array) => Uint8Array): JsonDecoder =>
  (text) => {
    try {
      return decode(text);
    } catch (error) {
      if (error instanceof JsonError) return error;
      throw error;
    }
  };

export const productDecoder = refusing((text) => exportFromJson(text).request);

/** Must refuse what the product refuses and give the same bytes for all else. */
export const referenceDecoder = refusing(referenceFromJson);
