/** The decoders of OTLP JSON that must agree. */
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';

/** The bytes of the export in OTLP JSON text, or why it is refused. Throws what no text may cause. */
export type JsonDecoder = (text: Uint8Array) => Uint8Array | JsonError;

export const productDecoder: JsonDecoder = (text) => {
  try {
    return exportFromJson(text);
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
};

/** Each must refuse what the product refuses and give the same bytes for all else. A second decoder is plugged in here. */
export const referenceDecoders: readonly JsonDecoder[] = [];
