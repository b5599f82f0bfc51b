/**
 * Stored traces as OTLP JSON text, made only when somebody asks for JSON. Everything the schema knows survives,
 * exactly: 64-bit integers as decimal strings, NaN and infinities as strings.
 */
import { resourceSpans, scopeSpans, span } from './schema.ts';
import { messageTag, nestedRanges, readObject, type JsonObject } from './trace-object.ts';
import { WireReader } from './wire.ts';

/** The OTLP JSON text of TracesData bytes. Throws WireError when they are damaged. */
export function tracesToJson(traces: Uint8Array): string {
  const job = encodingJson(traces);
  for (;;) {
    const step = job.next();
    if (step.done) return step.value;
  }
}

const resourceSpansTag = messageTag(1);
const childTag = messageTag(2);

/** The same as a job that can pause after each span (Executor.run): a trace may have 100,000 of them. */
export function* encodingJson(traces: Uint8Array): Generator<void, string, void> {
  const text = new JsonText();
  text.open({}, 'resourceSpans');
  for (const resource of nestedRanges(new WireReader(traces), resourceSpansTag)) {
    text.open(readObject(resourceSpans, copyOf(resource), childTag), 'scopeSpans');
    for (const scope of nestedRanges(resource, childTag)) {
      text.open(readObject(scopeSpans, copyOf(scope), childTag), 'spans');
      for (const range of nestedRanges(scope, childTag)) {
        text.item(readObject(span, range));
        yield;
      }
      text.close();
    }
    text.close();
  }
  text.close();
  return text.finish();
}

/** The fields of a message are read twice: once for themselves, once for its children. */
function copyOf({ bytes, at, end }: WireReader): WireReader {
  return new WireReader(bytes, at, end);
}

/** JSON text in pieces: objects that end in a list, which is left out when it stays empty. */
class JsonText {
  readonly #pieces: string[] = [];
  /** For each open object, what stands before its next item: the list's opening or a comma. */
  readonly #before: { separator: string; hasItems: boolean }[] = [];

  /** Opens an object with the fields of `object` and then the list `listName`, as the next item of the list around it. */
  open(object: JsonObject, listName: string): void {
    this.#separate();
    const text = JSON.stringify(object).slice(0, -1);
    this.#pieces.push(text);
    this.#before.push({ separator: `${text === '{' ? '' : ','}"${listName}":[`, hasItems: false });
  }

  item(object: JsonObject): void {
    this.#separate();
    this.#pieces.push(JSON.stringify(object));
  }

  close(): void {
    this.#pieces.push(this.#before.pop()?.hasItems ? ']}' : '}');
  }

  finish(): string {
    return this.#pieces.join('');
  }

  #separate(): void {
    const list = this.#before.at(-1);
    if (!list) return;
    this.#pieces.push(list.separator);
    list.separator = ',';
    list.hasItems = true;
  }
}
