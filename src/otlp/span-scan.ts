/**
 * One encoded span: checks its structure and notes what a table of spans needs, its ids and times, in one pass.
 * This is where an export spends its time, so the fields every SDK writes, in the form every SDK writes them, are taken
 * here without a call each; everything else goes to the general check.
 */
import { keyValue, span } from './schema.ts';
import { isPlainKeyValue, tagTableOf, type StructureChecker } from './structure.ts';
import { tagOf, WireReader, wireTypes } from './wire.ts';

const spanTable = tagTableOf(span);
const keyValueTable = tagTableOf(keyValue);

const traceIdTag = tagOf(1, wireTypes.bytes);
const spanIdTag = tagOf(2, wireTypes.bytes);
const traceStateTag = tagOf(3, wireTypes.bytes);
const parentSpanIdTag = tagOf(4, wireTypes.bytes);
const nameTag = tagOf(5, wireTypes.bytes);
const kindTag = tagOf(6, wireTypes.varint);
const startTimeTag = tagOf(7, wireTypes.fixed64);
const endTimeTag = tagOf(8, wireTypes.fixed64);
const attributesTag = tagOf(9, wireTypes.bytes);
const eventsTag = tagOf(11, wireTypes.bytes);
const linksTag = tagOf(13, wireTypes.bytes);

/** What was noted of the last span scanned. Of a scalar that occurs twice the last one counts; absent times are 0. */
export class SpanScanner {
  attributes = 0;
  events = 0;
  links = 0;
  traceIdAt = 0;
  traceIdLength = 0;
  spanIdAt = 0;
  spanIdLength = 0;
  startTimeHigh = 0;
  startTimeLow = 0;
  endTimeHigh = 0;
  endTimeLow = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #reader: WireReader;
  readonly #checker: StructureChecker;

  constructor(bytes: Uint8Array, checker: StructureChecker) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#reader = new WireReader(bytes);
    this.#checker = checker;
  }

  /**
   * Scans the span in bytes[start, end).
   *
   * @throws WireError at the first damage.
   */
  scan(start: number, end: number): void {
    const bytes = this.#bytes;
    const view = this.#view;
    let at = start;
    let attributes = 0;
    const checker = this.#checker;
    // Goes back to the checker before it counts on from there.
    let { fieldsLeft } = checker;
    this.attributes = 0;
    this.events = 0;
    this.links = 0;
    this.traceIdLength = 0;
    this.spanIdLength = 0;
    this.startTimeHigh = 0;
    this.startTimeLow = 0;
    this.endTimeHigh = 0;
    this.endTimeLow = 0;
    while (at < end) {
      fieldsLeft -= 1;
      if (fieldsLeft < 0) {
        checker.fault = 'fields';
        break;
      }
      const tag = bytes[at] as number;
      const length = at + 1 < end ? (bytes[at + 1] as number) : 0x80;
      const value = at + 2;
      const isShort = length < 0x80 && length <= end - value;
      if (tag === attributesTag && isShort) {
        const next = value + length;
        if (!isPlainKeyValue(bytes, value, next)) {
          checker.fieldsLeft = fieldsLeft;
          checker.check(keyValueTable, value, next);
          ({ fieldsLeft } = checker);
        }
        attributes += 1;
        at = next;
      } else if (tag === startTimeTag && at + 9 <= end) {
        this.startTimeLow = view.getUint32(at + 1, true);
        this.startTimeHigh = view.getUint32(at + 5, true);
        at += 9;
      } else if (tag === endTimeTag && at + 9 <= end) {
        this.endTimeLow = view.getUint32(at + 1, true);
        this.endTimeHigh = view.getUint32(at + 5, true);
        at += 9;
      } else if (tag === kindTag && length < 0x80) at = value;
      else if (tag === traceIdTag && isShort) {
        this.traceIdAt = value;
        this.traceIdLength = length;
        at = value + length;
      } else if (tag === spanIdTag && isShort) {
        this.spanIdAt = value;
        this.spanIdLength = length;
        at = value + length;
      } else if (isShort && (tag === parentSpanIdTag || tag === nameTag || tag === traceStateTag)) at = value + length;
      else {
        checker.fieldsLeft = fieldsLeft;
        at = this.#scanField(at, end);
        ({ fieldsLeft } = checker);
      }
    }
    // The long ones were counted one by one.
    this.attributes += attributes;
  }

  /** Takes the field at `at`, of any kind and form, and returns where it ends. */
  #scanField(at: number, end: number): number {
    const reader = this.#reader;
    reader.at = at;
    reader.end = end;
    const tag = reader.readTag();
    switch (tag) {
      case traceIdTag:
        this.traceIdLength = reader.readLength();
        this.traceIdAt = reader.at;
        reader.advance(this.traceIdLength);
        break;
      case spanIdTag:
        this.spanIdLength = reader.readLength();
        this.spanIdAt = reader.at;
        reader.advance(this.spanIdLength);
        break;
      case startTimeTag:
        reader.readFixed64();
        this.startTimeHigh = reader.high;
        this.startTimeLow = reader.low;
        break;
      case endTimeTag:
        reader.readFixed64();
        this.endTimeHigh = reader.high;
        this.endTimeLow = reader.low;
        break;
      default:
        if (tag === attributesTag) this.attributes += 1;
        else if (tag === eventsTag) this.events += 1;
        else if (tag === linksTag) this.links += 1;
        reader.skip(tag);
        this.#checker.check(spanTable, at, reader.at);
    }
    return reader.at;
  }
}
