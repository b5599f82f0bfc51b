/**
 * A cursor over the UTF-8 bytes of a JSON text (RFC 8259, as strict as JSON.parse): one token at a time, nothing built.
 * Whoever reads decides what a value means; what nobody asks for is skipped, at any depth, with one bit a level.
 *
 * Always holds: 0 <= at <= bytes.length. The bytes are valid UTF-8 throughout, so no reader of a string looks again.
 */
import { isUtf8 } from 'node:buffer';
import { numberEnd } from './json-number.ts';

/** The text is not what it should be. The sentence begins with the path of what is wrong, or says it is not JSON. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** The ASCII of JSON, as `peek` returns it. */
export const ascii = {
  quote: 0x22,
  comma: 0x2c,
  minus: 0x2d,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  equals: 0x3d,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  f: 0x66,
  n: 0x6e,
  t: 0x74,
  u: 0x75,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;

const space = 0x20;
const noBytes: Buffer = Buffer.alloc(0);
const byteOrderMark = Buffer.from('\ufeff');
const trueBytes = Buffer.from('true');
const falseBytes = Buffer.from('false');
const nullBytes = Buffer.from('null');
/** An escape without `u` is of two bytes, one with it of six: `\u0041`. */
const shortEscapeBytes = 2;
const longEscapeBytes = 6;

/** What the letter behind a backslash stands for; 0 where there is no such escape. */
const shortEscapes = new Uint8Array(256);
for (const [letter, character] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'])
  shortEscapes[(letter as string).charCodeAt(0)] = (character as string).charCodeAt(0);

/** The value of a hex digit of either case; `noValue` for every other byte. */
export const noValue = 0xff;
export const hexValues = new Uint8Array(256).fill(noValue);
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  hexValues[digit.charCodeAt(0)] = value;
  hexValues[digit.toUpperCase().charCodeAt(0)] = value;
}

export class JsonReader {
  readonly #bytes: Buffer;
  #at = 0;
  /**
   * The string that `readString` took, escapes resolved, or the number that `readNumber` took: text[textStart, textEnd).
   * Valid until the next string or number is read.
   */
  text = noBytes;
  textStart = 0;
  textEnd = 0;
  /** Where strings with escapes are resolved. */
  #scratch = noBytes;
  /** For each container around the one being skipped, whether it is an object: a bit each. */
  #outerIsObject = new Uint8Array(16);

  /** @throws JsonError when the bytes are not UTF-8. */
  constructor(bytes: Uint8Array) {
    if (!isUtf8(bytes)) throw new JsonError('the request body is not UTF-8');
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#startsWith(byteOrderMark)) this.#at = byteOrderMark.length;
  }

  /** The first byte of the next token, which stays unread; 0 at the end of the text. */
  peek(): number {
    const bytes = this.#bytes;
    for (let at = this.#at; at < bytes.length; at += 1) {
      const byte = bytes[at] as number;
      if (byte > space || !isWhitespace(byte)) {
        this.#at = at;
        return byte;
      }
    }
    this.#at = bytes.length;
    return 0;
  }

  /** Enters the object or array at the cursor, which ends with `close`. Returns whether anything is in it. */
  open(close: number): boolean {
    this.#at += 1;
    if (this.peek() !== close) return true;
    this.#at += 1;
    return false;
  }

  /** Moves on behind a member or element of the container that ends with `close`. Returns whether another follows. */
  next(close: number): boolean {
    const byte = this.peek();
    if (byte !== ascii.comma && byte !== close) throw this.#unexpected(`"," or "${String.fromCharCode(close)}"`);
    this.#at += 1;
    return byte === ascii.comma;
  }

  /** Takes the next bytes if they are these, and with them nothing else. */
  take(expected: Buffer): boolean {
    if (!this.#startsWith(expected)) return false;
    this.#at += expected.length;
    return true;
  }

  takeNull(): boolean {
    if (this.peek() !== ascii.n) return false;
    this.#takeWord(nullBytes);
    return true;
  }

  /** The boolean at the cursor, whose first letter the caller has seen. */
  readBoolean(): boolean {
    const isTrue = this.peek() === ascii.t;
    this.#takeWord(isTrue ? trueBytes : falseBytes);
    return isTrue;
  }

  takeColon(): void {
    if (this.peek() !== ascii.colon) throw this.#unexpected('":"');
    this.#at += 1;
  }

  /** Reads the key of a member into `text`. One that escapes make longer than `bytesMax` is left empty: nobody's name. */
  readKey(bytesMax: number): void {
    if (this.peek() !== ascii.quote) throw this.#unexpected('a key in double quotes');
    this.#readString(bytesMax);
  }

  /** Reads the string at the cursor, whose quote the caller has seen, into `text`. A lone surrogate becomes U+FFFD. */
  readString(): void {
    this.#readString(Infinity);
  }

  /** Reads the number at the cursor, whose first byte the caller has seen, into `text`: its literal. */
  readNumber(): void {
    const start = this.#at;
    this.#skipNumber();
    this.text = this.#bytes;
    this.textStart = start;
    this.textEnd = this.#at;
  }

  /** Moves over any value. What it is, is checked as JSON and forgotten. */
  skipValue(): void {
    let depth = 0;
    let close: number = ascii.closeBracket;
    for (;;) {
      const byte = this.peek();
      if (byte === ascii.openBrace || byte === ascii.openBracket) {
        this.#pushLevel(depth, close === ascii.closeBrace);
        depth += 1;
        close = byte === ascii.openBrace ? ascii.closeBrace : ascii.closeBracket;
        this.#at += 1;
        if (this.peek() !== close) {
          if (close === ascii.closeBrace) this.#skipKey();
          continue;
        }
      } else this.#skipScalar(byte);
      while (depth > 0 && !this.next(close)) {
        depth -= 1;
        close = this.#isObjectAt(depth) ? ascii.closeBrace : ascii.closeBracket;
      }
      if (depth === 0) return;
      if (close === ascii.closeBrace) this.#skipKey();
    }
  }

  /** @throws JsonError when anything follows. */
  finish(): void {
    if (this.peek() !== 0 || this.#at < this.#bytes.length) throw this.#unexpected('the end');
  }

  #pushLevel(depth: number, isObject: boolean): void {
    const index = depth >>> 3;
    if (index === this.#outerIsObject.length) {
      const larger = new Uint8Array(this.#outerIsObject.length * 2);
      larger.set(this.#outerIsObject);
      this.#outerIsObject = larger;
    }
    const bit = 1 << (depth & 7);
    const others = (this.#outerIsObject[index] as number) & ~bit;
    this.#outerIsObject[index] = isObject ? others | bit : others;
  }

  #isObjectAt(depth: number): boolean {
    return ((this.#outerIsObject[depth >>> 3] as number) & (1 << (depth & 7))) !== 0;
  }

  #skipKey(): void {
    if (this.peek() !== ascii.quote) throw this.#unexpected('a key in double quotes');
    this.#skipString();
    this.takeColon();
  }

  #skipScalar(byte: number): void {
    switch (byte) {
      case ascii.quote:
        return this.#skipString();
      case ascii.t:
        return this.#takeWord(trueBytes);
      case ascii.f:
        return this.#takeWord(falseBytes);
      case ascii.n:
        return this.#takeWord(nullBytes);
      default:
        return this.#skipNumber();
    }
  }

  #skipNumber(): void {
    const end = numberEnd(this.#bytes, this.#at, this.#bytes.length);
    if (end < 0) throw this.#unexpected('a value');
    this.#at = end;
  }

  #skipString(): void {
    this.#at = this.#endOfString(this.#at + 1) + 1;
  }

  #readString(unescapedBytesMax: number): void {
    const bytes = this.#bytes;
    const start = this.#at + 1;
    let at = start;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte === ascii.quote) {
        this.text = bytes;
        this.textStart = start;
        this.textEnd = at;
        this.#at = at + 1;
        return;
      }
      if (byte === ascii.backslash || byte < space) break;
      at += 1;
    }
    const end = this.#endOfString(at);
    this.#at = end + 1;
    if (end - start > unescapedBytesMax * longEscapeBytes) this.textEnd = this.textStart;
    else this.#unescape(start, end);
  }

  /** The closing quote of the string whose bytes from `from` on are still to be checked. */
  #endOfString(from: number): number {
    const bytes = this.#bytes;
    for (let at = from; at < bytes.length;) {
      const byte = bytes[at] as number;
      if (byte === ascii.quote) return at;
      if (byte === ascii.backslash) at += this.#escapeBytes(at);
      else if (byte < space) {
        this.#at = at;
        throw this.#unexpected('a control character as an escape');
      } else at += 1;
    }
    this.#at = bytes.length;
    throw this.#unexpected('the end of a string');
  }

  #escapeBytes(at: number): number {
    const bytes = this.#bytes;
    const letter = bytes[at + 1] ?? 0;
    if (shortEscapes[letter] !== 0) return shortEscapeBytes;
    if (letter === ascii.u) {
      let digits = 0;
      while (digits < 4 && hexValues[bytes[at + shortEscapeBytes + digits] ?? 0] !== noValue) digits += 1;
      if (digits === 4) return longEscapeBytes;
    }
    this.#at = at;
    throw this.#unexpected('an escape that JSON has');
  }

  /** Resolves the escapes of a string that was checked. The result is never longer. */
  #unescape(start: number, end: number): void {
    const bytes = this.#bytes;
    if (this.#scratch.length < end - start)
      this.#scratch = Buffer.allocUnsafe(Math.max(end - start, 2 * this.#scratch.length));
    const scratch = this.#scratch;
    let length = 0;
    for (let at = start; at < end;) {
      const byte = bytes[at] as number;
      if (byte !== ascii.backslash) {
        scratch[length] = byte;
        length += 1;
        at += 1;
        continue;
      }
      const letter = bytes[at + 1] as number;
      if (letter !== ascii.u) {
        scratch[length] = shortEscapes[letter] as number;
        length += 1;
        at += shortEscapeBytes;
        continue;
      }
      let codePoint = this.#codeUnit(at);
      at += longEscapeBytes;
      if (isHighSurrogate(codePoint) && bytes[at] === ascii.backslash && bytes[at + 1] === ascii.u) {
        const low = this.#codeUnit(at);
        if (isLowSurrogate(low)) {
          codePoint = 0x1_0000 + ((codePoint - 0xd800) << 10) + (low - 0xdc00);
          at += longEscapeBytes;
        }
      }
      length = putUtf8(scratch, length, codePoint);
    }
    this.text = scratch;
    this.textStart = 0;
    this.textEnd = length;
  }

  /** The UTF-16 code unit of the escape `\uXXXX` at `at`. */
  #codeUnit(at: number): number {
    let value = 0;
    for (let index = at + shortEscapeBytes; index < at + longEscapeBytes; index += 1)
      value = value * 16 + (hexValues[this.#bytes[index] as number] as number);
    return value;
  }

  #startsWith(expected: Buffer): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    if (start + expected.length > bytes.length) return false;
    for (let index = 0; index < expected.length; index += 1) if (bytes[start + index] !== expected[index]) return false;
    return true;
  }

  #takeWord(word: Buffer): void {
    if (!this.take(word)) throw this.#unexpected('a value');
  }

  #unexpected(expected: string): JsonError {
    const where = this.#at < this.#bytes.length ? `at byte ${this.#at}` : 'where it ends';
    return new JsonError(`the request body is not JSON: ${expected} should stand ${where}`);
  }
}

function isWhitespace(byte: number): boolean {
  return byte === space || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isHighSurrogate(codeUnit: number): boolean {
  return codeUnit >= 0xd800 && codeUnit < 0xdc00;
}
function isLowSurrogate(codeUnit: number): boolean {
  return codeUnit >= 0xdc00 && codeUnit < 0xe000;
}

/** Writes a code point in UTF-8 at `at` and returns where it ends. A surrogate has none and becomes U+FFFD. */
function putUtf8(target: Uint8Array, at: number, codePoint: number): number {
  const point = isHighSurrogate(codePoint) || isLowSurrogate(codePoint) ? 0xfffd : codePoint;
  if (point < 0x80) {
    target[at] = point;
    return at + 1;
  }
  const size = point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
  let rest = point;
  for (let index = at + size - 1; index > at; index -= 1) {
    target[index] = 0x80 | (rest & 0x3f);
    rest >>>= 6;
  }
  target[at] = ((0xf00 >>> size) & 0xff) | rest;
  return at + size;
}
