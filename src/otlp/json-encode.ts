/**
 * Stored traces as OTLP JSON text, made only when somebody asks for JSON. Everything the schema knows survives,
 * exactly: 64-bit integers as decimal strings, NaN and infinities as strings.
 */
import { resourceSpans, scopeSpans, span } from './schema.ts';
import { messageTag, nestedRanges, readObject, type JsonObject } from './trace-object.ts';
import { WireReader } from './wire.ts';

/** The OTLP JSON text of TracesData bytes. Throws WireError when they are damaged. */
export function tracesToJson(traces: Uint8Array): string {
  return [...encodingJson(traces)].join('');
}

const resourceSpansTag = messageTag(1);
const childTag = messageTag(2);

/**
 * The same text in pieces, one after each span: a trace may have 100,000 of them, and neither the time for all of them
 * nor one string with all of them is there at once.
 */
export function* encodingJson(traces: Uint8Array): Generator<string, void, void> {
  const text = new JsonText();
  text.open({}, 'resourceSpans');
  for (const resource of nestedRanges(new WireReader(traces), resourceSpansTag)) {
    text.open(readObject(resourceSpans, copyOf(resource), childTag), 'scopeSpans');
    for (const scope of nestedRanges(resource, childTag)) {
      text.open(readObject(scopeSpans, copyOf(scope), childTag), 'spans');
      for (const range of nestedRanges(scope, childTag)) {
        text.item(readObject(span, range));
        yield text.take();
      }
      text.close();
    }
    text.close();
  }
  text.close();
  yield text.take();
}

/** Pieces of a text put together as a job that can pause after each of them (Executor.run). */
export function* joining(pieces: Iterable<string>): Generator<void, string, void> {
  let text = '';
  for (const piece of pieces) {
    text += piece;
    yield;
  }
  return text;
}

/** The fields of a message are read twice: once for themselves, once for its children. */
function copyOf({ bytes, at, end }: WireReader): WireReader {
  return new WireReader(bytes, at, end);
}

/** JSON text as it grows: objects that end in a list, which is left out when it stays empty. */
class JsonText {
  /** What was written and not taken yet. */
  #text = '';
  /** For each open object, what stands before its next item: the list's opening or a comma. */
  readonly #before: { separator: string; hasItems: boolean }[] = [];

  /** Opens an object with the fields of `object` and then the list `listName`, as the next item of the list around it. */
  open(object: JsonObject, listName: string): void {
    this.#separate();
    const text = JSON.stringify(object).slice(0, -1);
    this.#text += text;
    this.#before.push({ separator: `${text === '{' ? '' : ','}"${listName}":[`, hasItems: false });
  }

  item(object: JsonObject): void {
    this.#separate();
    this.#text += JSON.stringify(object);
  }

  close(): void {
    this.#text += this.#before.pop()?.hasItems ? ']}' : '}';
  }

  /** What was written since the last time. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  #separate(): void {
    const list = this.#before.at(-1);
    if (!list) return;
    this.#text += list.separator;
    list.separator = ',';
    list.hasItems = true;
  }
}
