/** Changes that know JSON's tokens: a value of another kind, a member twice or missing, the same text written otherwise. */
import type { SeededRandom } from '../support/seeded-random.ts';
import { mutateBytes, reduceBytes } from './mutate-bytes.ts';

/** Larger inputs find nothing that smaller ones do not, more slowly. */
const inputBytesMax = 2_048;

/** What takes the place of a value. */
const values: readonly string[] = [
  ...['null', 'true', 'false', '{}', '[]', '[null]', '[[]]', '""', '"x"'],
  ...['0', '-0', '1', '-1', '1.0', '1e0', '1.5', '10e-1', '1e400', '-1e400', '1e-400', '0.1e1', '01', '.5', '+1', '1.'],
  ...['2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295', '4294967296'],
  ...['9007199254740991', '9007199254740993', '9223372036854775807', '9223372036854775808', '-9223372036854775808'],
  ...['18446744073709551615', '18446744073709551616', '100000000000000000000', '-9223372036854775809'],
  ...[
    '"0"',
    '"-0"',
    '"00"',
    '"1e3"',
    '"1.0"',
    '"+1"',
    '" 1"',
    '"9007199254740993"',
    '"18446744073709551615"',
    '"0x10"',
  ],
  ...['"NaN"', '"Infinity"', '"-Infinity"', '"nan"', 'NaN', 'Infinity', '"1e400"', '"-0.0"', '"1_000"', '"１"'],
  ...['"AAAA"', '"AAA="', '"AA=="', '"AA"', '"A"', '"AA-_"', '"AA+/"', '"A==="', '"AB=="', '" AA="'],
  ...['"01010101010101010101010101010101"', '"0101010101010101"', '"0101010101010101A"', '"ABCDEFabcdef0000"'],
  ...[
    '"\\ud800"',
    '"\\ude00\\ud83d"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\x"',
    '"\\u12"',
    '"\\/\\b\\f\\n\\r\\t"',
    '"\u007f"',
  ],
  ...[
    '{"stringValue":""}',
    '{"intValue":0}',
    '{"doubleValue":-0}',
    '{"arrayValue":{"values":[{}]}}',
    '{"bytesValue":""}',
  ],
  ...[
    '{"kvlistValue":{"values":[{"key":"k"}]}}',
    '{"stringValue":"a","intValue":1}',
    '{"stringValue":null,"intValue":1}',
  ],
];
const names: readonly string[] = [
  ...['resourceSpans', 'scopeSpans', 'spans', 'resource', 'scope', 'attributes', 'key', 'value', 'traceId', 'spanId'],
  ...[
    'parentSpanId',
    'traceState',
    'name',
    'kind',
    'startTimeUnixNano',
    'endTimeUnixNano',
    'events',
    'links',
    'status',
  ],
  ...['code', 'message', 'flags', 'droppedAttributesCount', 'stringValue', 'boolValue', 'intValue', 'doubleValue'],
  ...['arrayValue', 'kvlistValue', 'bytesValue', 'values', 'entityRefs', 'idKeys', 'timeUnixNano', 'schemaUrl'],
  ...['__proto__', 'constructor', 'toString', 'trace_id', 'resource_spans', 'unknown', ''],
].map((name) => JSON.stringify(name));
const spaces: readonly string[] = [' ', '\n', '\t', '\r\n', '\u00a0', '\ufeff', '/**/', ','];

interface Token {
  readonly start: number;
  readonly end: number;
}

/** A changed copy of JSON text. */
export function mutateJson(input: Uint8Array, other: Uint8Array, random: SeededRandom): Uint8Array {
  let changed = input;
  for (let left = random.pick([1, 1, 1, 2, 3]); left > 0; left -= 1)
    changed = random.below(5) === 0 ? mutateBytes(changed, other, random) : mutateTokens(changed, random);
  return changed.length > inputBytesMax ? changed.slice(0, inputBytesMax) : changed;
}

/** A smaller copy: without a member or item, or just without some bytes. */
export function reduceJson(input: Uint8Array, random: SeededRandom): Uint8Array {
  if (random.below(2) === 0) return reduceBytes(input, random);
  const text = textOf(input);
  const tokens = tokensOf(text);
  if (tokens.length === 0) return input;
  const at = random.below(tokens.length);
  const { start, end } = spanOfValue(text, tokens, at);
  // With the comma behind it, or the one in front.
  const tail = text[end] === ',' ? end + 1 : end;
  const head = tail === end && text[start - 1] === ',' ? start - 1 : start;
  return bytesOf(text.slice(0, head) + text.slice(tail));
}

function mutateTokens(input: Uint8Array, random: SeededRandom): Uint8Array {
  const text = textOf(input);
  const tokens = tokensOf(text);
  if (tokens.length === 0) return input;
  const at = random.below(tokens.length);
  const token = tokens[at] as Token;
  const first = text[token.start];
  const isName = first === '"' && text[token.end] === ':';
  const replace = ({ start, end }: Token, by: string): Uint8Array =>
    bytesOf(text.slice(0, start) + by + text.slice(end));
  switch (random.below(8)) {
    case 0:
      return replace({ start: token.start, end: token.start }, random.pick(spaces));
    case 1:
      return replace(token, '');
    case 2: {
      // The value, member or item once more, or the member's name with another value: the later one counts.
      const value = spanOfValue(text, tokens, at);
      const isOther = isName && random.below(2) === 0;
      const again = isOther
        ? `${text.slice(token.start, token.end)}:${random.below(2) === 0 ? 'null' : random.pick(values)}`
        : text.slice(value.start, value.end);
      return replace({ start: value.end, end: value.end }, `,${again}`);
    }
    case 3: {
      const value = spanOfValue(text, tokens, at);
      return replace(value, isName ? `${random.pick(names)}:${random.pick(values)}` : random.pick(values));
    }
    case 4:
      if (first !== '"') return replace(token, random.pick(values));
      return replace(token, escaped(text.slice(token.start, token.end), random));
    case 5:
      if (first !== '{') return replace(token, isName ? random.pick(names) : random.pick(values));
      return replace({ start: token.end, end: token.end }, `${random.pick(names)}:${random.pick(values)},`);
    case 6:
      // One level more.
      return replace(spanOfValue(text, tokens, at), wrapped(text, spanOfValue(text, tokens, at), random));
    default:
      return replace(token, isName ? random.pick(names) : bytesOrValue(text, token, random));
  }
}

function bytesOrValue(text: string, { start, end }: Token, random: SeededRandom): string {
  const token = text.slice(start, end);
  // Numbers as strings and strings as numbers: both stand for 64-bit integers.
  if (/^-?\d/.test(token)) return `"${token}"`;
  return /^"-?\d+"$/.test(token) ? token.slice(1, -1) : random.pick(values);
}

function wrapped(text: string, { start, end }: Token, random: SeededRandom): string {
  const value = text.slice(start, end);
  const levels = random.pick([1, 1, 2, 31, 33]);
  const [head, tail] = random.pick([
    ['{"arrayValue":{"values":[', ']}}'],
    ['{"kvlistValue":{"values":[{"value":', '}]}}'],
    ['[', ']'],
    ['{"unknown":', '}'],
  ] as const);
  return head.repeat(levels) + value + tail.repeat(levels);
}

/** The string with one of its characters as \u and four digits. */
function escaped(string: string, random: SeededRandom): string {
  if (string.length < 3) return string;
  const at = 1 + random.below(string.length - 2);
  if (string[at] === '\\' || string[at - 1] === '\\') return string;
  return `${string.slice(0, at)}\\u00${string.charCodeAt(at).toString(16).padStart(2, '0')}${string.slice(at + 1)}`;
}

/** From the token to the end of the value, member or item that begins with it. */
function spanOfValue(text: string, tokens: readonly Token[], from: number): Token {
  const { start } = tokens[from] as Token;
  let depth = 0;
  for (let at = from; at < tokens.length; at += 1) {
    const token = tokens[at] as Token;
    const first = text[token.start];
    if (first === '{' || first === '[') depth += 1;
    else if (first === '}' || first === ']') depth -= 1;
    const next = text[token.end];
    if (depth <= 0 && next !== ':' && first !== ':') return { start, end: token.end };
  }
  return { start, end: text.length };
}

/** Strings, punctuation, and whatever else stands together, in damaged JSON as well. */
function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const end = tokenEnd(text, at);
    if (text.charCodeAt(at) > 0x20) tokens.push({ start: at, end });
    at = end;
  }
  return tokens;
}

const quote = 0x22;
const backslash = 0x5c;
const punctuation = new Set('{}[],:'.split('').map((character) => character.charCodeAt(0)));

function tokenEnd(text: string, start: number): number {
  const first = text.charCodeAt(start);
  let at = start + 1;
  if (first === quote) {
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === quote) return at + 1;
      if (code === backslash) at += 1;
    }
    return text.length;
  }
  if (first <= 0x20 || punctuation.has(first)) return at;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code === quote || punctuation.has(code)) break;
  }
  return at;
}

/** One character for each byte: changes must be able to leave UTF-8. */
function textOf(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.length).toString('latin1');
}

/** The inverse of `textOf`; characters above one byte stand for their UTF-8. */
function bytesOf(text: string): Uint8Array {
  let isLatin = true;
  for (let at = 0; at < text.length && isLatin; at += 1) isLatin = text.charCodeAt(at) < 256;
  if (isLatin) return Buffer.from(text, 'latin1');
  return Buffer.concat(
    Array.from(text, (character) => Buffer.from(character, character.charCodeAt(0) < 256 ? 'latin1' : 'utf8')),
  );
}
