/** Bugs put into decoders one at a time: the fuzzer must notice each within its number of inputs, with the finding that fits. */
import type { Plant } from '../support/plant.ts';
import type { TargetName } from './target.ts';

export interface PlantedDecoderBug extends Plant {
  readonly name: string;
  readonly target: TargetName;
  readonly inputs: number;
  readonly caughtBy: RegExp;
}

const wire = 'src/otlp/wire.ts';
const structure = 'src/otlp/structure.ts';
const spanScan = 'src/otlp/span-scan.ts';

export const plantedDecoderBugs: readonly PlantedDecoderBug[] = [
  {
    name: 'a length may reach one byte past the end of its message',
    target: 'wire',
    file: wire,
    find: 'if (length > this.end - this.at)',
    replace: 'if (length > this.end - this.at + 1)',
    inputs: 20_000,
    caughtBy: /accepted by the walk alone|another|threw/,
  },
  {
    name: 'a start time is stepped over as if it had seven bytes',
    target: 'wire',
    file: spanScan,
    find: 'this.startTimeHigh = view.getUint32(at + 5, true);\n        at += 9;',
    replace: 'this.startTimeHigh = view.getUint32(at + 5, true);\n        at += 8;',
    inputs: 2_000,
    caughtBy: /refused by the walk alone|another/,
  },
  {
    name: 'an end time keeps the upper half of the span before',
    target: 'wire',
    file: spanScan,
    find: 'this.endTimeHigh = 0;\n    this.endTimeLow = 0;\n    while',
    replace: 'this.endTimeLow = 0;\n    while',
    inputs: 20_000,
    caughtBy: /another end time/,
  },
  {
    name: 'a plain string value may end before its attribute',
    target: 'wire',
    file: structure,
    find: 'return first < 0x80 && value + 4 + first === end;',
    replace: 'return first < 0x80 && value + 4 + first <= end;',
    inputs: 50_000,
    caughtBy: /accepted by the walk alone/,
  },
  {
    name: 'a plain value may be longer than it says',
    target: 'wire',
    file: structure,
    find: 'valueLength >= 0x80 || value + 2 + valueLength !== end',
    replace: 'valueLength >= 0x80',
    inputs: 50_000,
    caughtBy: /accepted by the walk alone/,
  },
  {
    name: 'the second of two trace ids is not seen',
    target: 'wire',
    file: spanScan,
    find: 'else if (tag === traceIdTag && isShort) {',
    replace:
      'else if (tag === traceIdTag && isShort && this.traceIdLength > 0) at = value + length;\n      else if (tag === traceIdTag && isShort) {',
    inputs: 20_000,
    caughtBy: /another trace id|a wrong reason|a good span is rejected|a faulty span is accepted/,
  },
  {
    name: 'a group may be ended by another group',
    target: 'wire',
    file: wire,
    find: 'inner - 1 === open.at(-1)',
    replace: '(inner & 7) === wireTypes.groupEnd',
    inputs: 50_000,
    caughtBy: /accepted by the walk alone/,
  },
  {
    name: 'one level of AnyValue too much is accepted',
    target: 'wire',
    file: structure,
    find: 'if (child.isAnyValue && anyValues === anyValueDepthMax) {',
    replace: 'if (child.isAnyValue && anyValues === anyValueDepthMax + 1) {',
    inputs: 50_000,
    caughtBy: /a faulty span is accepted/,
  },
  {
    name: 'an event may have one attribute less than is allowed',
    target: 'wire',
    file: structure,
    find: 'if (attributes > attributesMax)',
    replace: 'if (attributes >= attributesMax)',
    inputs: 50_000,
    caughtBy: /a good span is rejected|a wrong reason/,
  },
  {
    name: 'the schema takes an event for a string',
    target: 'wire',
    file: 'src/otlp/schema.ts',
    find: "many(11, 'events', event)",
    replace: "scalar(11, 'events', 'string')",
    inputs: 50_000,
    caughtBy: /accepted by the walk alone|a faulty span is accepted/,
  },
  {
    name: 'a 64-bit integer of JSON passes through a Number',
    target: 'json',
    file: 'src/otlp/trace-object.ts',
    find: 'String((BigInt(high) << 32n) + BigInt(low))',
    replace: 'String(high * 2 ** 32 + low)',
    inputs: 20_000,
    caughtBy: /round trip|refused/,
  },
  {
    name: 'minus zero becomes zero',
    target: 'json',
    file: 'src/otlp/trace-object.ts',
    find: "if (Object.is(value, -0)) return '-0';",
    replace: '',
    inputs: 20_000,
    caughtBy: /round trip/,
  },
  {
    name: 'an object without fields of its own begins with a comma',
    target: 'json',
    file: 'src/otlp/json-encode.ts',
    find: "text === '{' ? '' : ','",
    replace: "','",
    inputs: 2_000,
    caughtBy: /is refused/,
  },
  {
    name: 'exact duplicates stay in a trace',
    target: 'merge',
    file: 'src/otlp/trace-merge.ts',
    find: 'return !before || Buffer.compare(before.hash, hash) !== 0;',
    replace: 'return true;',
    inputs: 5_000,
    caughtBy: /another/,
  },
  {
    name: 'spans with the same start and id stay in the order they came in',
    target: 'merge',
    file: 'src/otlp/trace-merge.ts',
    find: 'hashed.sort((a, b) => Buffer.compare(a.hash, b.hash));',
    replace: '',
    inputs: 20_000,
    caughtBy: /another/,
  },
  {
    name: 'a number in a header may be negative or broken',
    target: 'frames',
    file: 'src/transport/fields.ts',
    find: 'if (!Number.isSafeInteger(value) || (value as number) < 0)',
    replace: "if (typeof value !== 'number')",
    inputs: 50_000,
    caughtBy: /threw|another/,
  },
];
