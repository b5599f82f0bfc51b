/**
 * Decimal numbers in ASCII, as JSON spells them, without a string made on the way: integers exactly, as two halves of
 * 64 bits, and doubles rounded as everywhere.
 */

const minus = 0x2d;
const plus = 0x2b;
const dot = 0x2e;
const zero = 0x30;
const lowerE = 0x65;
/** Turns an ASCII letter into its lower case. */
const lowerCaseBit = 0x20;

const twoTo32 = 2 ** 32;
/** Digits of the largest 64-bit integers; what a string of digits may have, leading zeros included. */
const integerDigitsMax = 20;
/** Integers of so many digits are exact as a Number. */
const exactDigitsMax = 15;
/** So many digits, and a factor to match, fit into halves. */
const lowDigits = 9;
const lowFactor = 1e9;
/** Powers of ten that a Number holds exactly, as far as they are needed here. */
const powersOfTen = Array.from({ length: exactDigitsMax + 1 }, (_, exponent) => 10 ** exponent);

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte < zero + 10;
}

/** Where the JSON number at `start` ends, at `end` at the latest; -1 when there is none. */
export function numberEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (at < end && bytes[at] === minus) at += 1;
  const whole = digitsEnd(bytes, at, end);
  if (whole === at || (bytes[at] === zero && whole > at + 1)) return -1;
  at = whole;
  if (at < end && bytes[at] === dot) {
    const fraction = digitsEnd(bytes, at + 1, end);
    if (fraction === at + 1) return -1;
    at = fraction;
  }
  if (at < end && ((bytes[at] as number) | lowerCaseBit) === lowerE) {
    at += 1;
    if (at < end && (bytes[at] === minus || bytes[at] === plus)) at += 1;
    const exponent = digitsEnd(bytes, at, end);
    if (exponent === at) return -1;
    at = exponent;
  }
  return at;
}

function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isDigit(bytes[at])) at += 1;
  return at;
}

/** The double of bytes[start, end), which are a JSON number. Infinite when it is too large for one. */
export function doubleOf(bytes: Buffer, start: number, end: number): number {
  const isNegative = bytes[start] === minus;
  const first = isNegative ? start + 1 : start;
  // A number of few digits divided by a power of ten that is exact is rounded once, so correctly.
  if (end - first <= exactDigitsMax) {
    let value = 0;
    let fractionStart = end;
    let at = first;
    for (; at < end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === dot) fractionStart = at + 1;
      else if (isDigit(byte)) value = value * 10 + (byte - zero);
      else break;
    }
    if (at === end) {
      value /= powersOfTen[end - fractionStart] as number;
      return isNegative ? -value : value;
    }
  }
  return Number(bytes.toString('latin1', start, end));
}

/** The last integer read: a sign, and a magnitude of high * 2^32 + low. `high` passes 2^32 when 64 bits do not hold it. */
export class DecimalInteger {
  isNegative = false;
  high = 0;
  low = 0;

  /** Reads bytes[start, end) if they are an optional minus and 1 to 20 digits. Returns whether they are. */
  readDigits(bytes: Uint8Array, start: number, end: number): boolean {
    const isNegative = start < end && bytes[start] === minus;
    const first = isNegative ? start + 1 : start;
    const count = end - first;
    if (count < 1 || count > integerDigitsMax) return false;
    let value = 0;
    const split = count > exactDigitsMax ? end - lowDigits : end;
    for (let at = first; at < split; at += 1) {
      const byte = bytes[at];
      if (!isDigit(byte)) return false;
      value = value * 10 + ((byte as number) - zero);
    }
    this.isNegative = isNegative;
    if (split === end) {
      this.high = Math.floor(value / twoTo32);
      this.low = value >>> 0;
      return true;
    }
    let rest = 0;
    for (let at = split; at < end; at += 1) {
      const byte = bytes[at];
      if (!isDigit(byte)) return false;
      rest = rest * 10 + ((byte as number) - zero);
    }
    this.#join(value, rest);
    return true;
  }

  /** Reads bytes[start, end), which are a JSON number, if it is whole and of at most 20 digits: 12, 1.20e1, 5.0. */
  readNumber(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.readDigits(bytes, start, end)) return true;
    let mantissaEnd = start;
    while (mantissaEnd < end && ((bytes[mantissaEnd] as number) | lowerCaseBit) !== lowerE) mantissaEnd += 1;
    let point = start;
    while (point < mantissaEnd && bytes[point] !== dot) point += 1;
    // The significant digits are bytes[first, last], the point perhaps among them.
    let first = start;
    while (first < mantissaEnd && !isSignificant(bytes[first])) first += 1;
    let last = mantissaEnd - 1;
    while (last > first && !isSignificant(bytes[last])) last -= 1;
    this.isNegative = bytes[start] === minus;
    this.high = 0;
    this.low = 0;
    if (first === mantissaEnd) return true;
    const digits = last - first + (first < point && point < last ? 0 : 1);
    const zeros = (last < point ? point - 1 - last : point - last) + exponentOf(bytes, mantissaEnd + 1, end);
    if (zeros < 0 || digits + zeros > integerDigitsMax) return false;
    for (let at = first; at <= last; at += 1) if (at !== point) this.#append((bytes[at] as number) - zero);
    for (let left = zeros; left > 0; left -= 1) this.#append(0);
    return true;
  }

  get isZero(): boolean {
    return this.high === 0 && this.low === 0;
  }

  /** From sign and magnitude to 64 bits of two's complement. */
  toTwosComplement(): void {
    if (!this.isNegative || this.isZero) return;
    this.high = (~this.high + (this.low === 0 ? 1 : 0)) >>> 0;
    this.low = -this.low >>> 0;
  }

  /** Takes the value of 1 to 11 leading digits and of the nine behind them. Every product stays below 2^53. */
  #join(leading: number, trailing: number): void {
    const leadingHigh = Math.floor(leading / 2 ** 18);
    const upper = leadingHigh * lowFactor;
    const lower = (leading - leadingHigh * 2 ** 18) * lowFactor + trailing;
    const upperHigh = Math.floor(upper / 2 ** 14);
    const low = (upper - upperHigh * 2 ** 14) * 2 ** 18 + lower;
    this.high = upperHigh + Math.floor(low / twoTo32);
    this.low = low >>> 0;
  }

  #append(digit: number): void {
    const low = this.low * 10 + digit;
    this.high = this.high * 10 + Math.floor(low / twoTo32);
    this.low = low >>> 0;
  }
}

/** A digit other than zero. */
function isSignificant(byte: number | undefined): boolean {
  return byte !== zero && isDigit(byte);
}

/** The exponent in bytes[start, end), behind its letter; 0 when there is none. A huge one is only known to be huge. */
function exponentOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at];
    if (isDigit(byte)) value = Math.min(value * 10 + ((byte as number) - zero), 2 ** 40);
  }
  return bytes[start] === minus ? -value : value;
}
