/**
 * protobufjs's decoders for exports, generated at start from the text of the .proto files: the second opinion.
 *
 * Two changes for the sake of comparison. Strings are bytes, because the walk does not check UTF-8. AnyValue is no
 * oneof, because a value that is replaced by a later one must still be well-formed, and counts for the depth.
 */
import protobuf from 'protobufjs';
import { referenceSchema } from '../otlp/reference-schema.ts';

const changed = referenceSchema
  .replaceAll(/\bstring (?=\w+ = )/g, 'bytes ')
  .replace(/oneof value \{([^}]*)\}/, (_oneof, fields: string) => fields);
const outline = `
  message RequestOutline { repeated bytes resource_spans = 1; }
  message ResourceOutline { repeated bytes scope_spans = 2; }
  message ScopeOutline { repeated bytes spans = 2; }
`;
const { root } = protobuf.parse(changed + outline);
root.resolveAll();

// Its own bound would hide what lies below; inputs are small enough for the stack.
protobuf.Reader.recursionLimit = 5_000;

export function referenceType(name: string): protobuf.Type {
  return root.lookupType(name);
}

/** A decoded message with the bytes of each field that protobufjs did not know, or knew with another wire type. */
export type ReferenceMessage = protobuf.Message & { readonly $unknowns?: readonly Uint8Array[] };

/** Decodes `bytes` and keeps unknown fields. Throws what protobufjs throws. */
export function decodeReference(type: protobuf.Type, bytes: Uint8Array): ReferenceMessage {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  return type.decode(reader);
}

/** Groups inside one another in one unknown field; 0 when it is none. */
export function groupDepthOf(field: Uint8Array): number {
  const reader = protobuf.Reader.create(field);
  let depth = 0;
  let deepest = 0;
  do {
    const tag = reader.uint32();
    const type = tag & 7;
    if (type === 3) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (type === 4) depth -= 1;
    else reader.skipType(type);
  } while (depth > 0);
  return deepest;
}

/** Whether any message in `message` has a known field with a wire type that is not the field's. */
export function hasWrongWireType(type: protobuf.Type, message: ReferenceMessage): boolean {
  for (const unknown of message.$unknowns ?? [])
    if (type.fieldsById[protobuf.Reader.create(unknown).uint32() >>> 3] !== undefined) return true;
  return someChild(type, message, hasWrongWireType);
}

/** Whether any unknown field holds groups nested deeper than `depth`. */
export function hasDeepGroup(type: protobuf.Type, message: ReferenceMessage, depth: number): boolean {
  for (const unknown of message.$unknowns ?? []) if (groupDepthOf(unknown) > depth) return true;
  return someChild(type, message, (child, value) => hasDeepGroup(child, value, depth));
}

function someChild(
  type: protobuf.Type,
  message: ReferenceMessage,
  holds: (type: protobuf.Type, message: ReferenceMessage) => boolean,
): boolean {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  for (const { name, resolvedType, repeated } of type.fieldsArray) {
    if (!(resolvedType instanceof protobuf.Type)) continue;
    const value = fields[name];
    const children = (repeated ? value : value ? [value] : []) as readonly ReferenceMessage[];
    for (const child of children) if (holds(resolvedType, child)) return true;
  }
  return false;
}
