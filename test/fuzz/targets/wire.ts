/**
 * The hand-written walk against protobufjs. They agree when both refuse, or both accept and then find the same spans in
 * the same order with the same ids and times, the same bytes around them, and the walk rejects those, and only those,
 * that a limit or a wrong id forbids. Where they may differ is listed here, each with its proof; all else is a finding.
 */
import { limits } from '../../../src/limits.ts';
import { noSpanLimits, type SpanLimits } from '../../../src/otlp/span-fault.ts';
import { walkExport, type WalkedExport } from '../../../src/otlp/walk.ts';
import { WireError } from '../../../src/otlp/wire.ts';
import { generateExport } from '../generate-export.ts';
import { mutateWire, reduceWire } from '../mutate-wire.ts';
import { decodeTraces, spansOf, tracesType, type ReferenceSpan, type TracesData } from '../reference-export.ts';
import { hasDeepGroup, hasWrongWireType } from '../reference-schema.ts';
import { faultsOf, isReasonTrue } from '../span-faults.ts';
import { storedSpans } from '../stored-spans.ts';
import type { Finding, Target, Verdict } from '../target.ts';

/** What the product refuses and protobufjs reads: the sentence, and how protobufjs's own reading proves it. */
const strictnesses: readonly {
  readonly name: string;
  readonly sentence: RegExp;
  proves(request: Uint8Array, traces: TracesData, underLimits: SpanLimits): boolean;
}[] = [
  {
    // For protobuf such a field is unknown; the OTLP collector refuses it too.
    name: 'strict: wrong wire type',
    sentence: /has wire type \d, which the schema does not allow/,
    proves: (_request, traces) => hasWrongWireType(tracesType, traces),
  },
  {
    // protobufjs drops the bits above 64, and steps over varints of any length.
    name: 'strict: varint over 64 bits',
    sentence: /a varint is longer than 64 bits/,
    proves: hasLongVarint,
  },
  {
    // The reference's own bound was lifted, see reference-schema.ts.
    name: 'strict: groups too deep',
    sentence: /groups are nested deeper than 100/,
    proves: (_request, traces) => hasDeepGroup(tracesType, traces, 100),
  },
  {
    name: 'strict: too many resources and scopes',
    sentence: /there are more than \d+ resources and scopes/,
    proves: (_request, { resourceSpans }, { spansPerRequestMax }) => {
      const scopes = resourceSpans.reduce((sum, { scopeSpans }) => sum + scopeSpans.length, 0);
      return resourceSpans.length + scopes > 2 * spansPerRequestMax;
    },
  },
];

const outOfSight = 'damage inside what a limit rejects';
/** All the ways in which the two may differ. */
export const knownDifferences: readonly string[] = [...strictnesses.map(({ name }) => name), outOfSight];

/** Limits that small inputs reach. */
const tightLimits: SpanLimits = {
  spanBytesMax: 300,
  anyValueDepthMax: 2,
  attributesMax: 2,
  eventsMax: 1,
  linksMax: 1,
  fieldsMax: limits.fieldsMax,
  keyBytesMax: 127,
  valueBytesMax: 127,
  sharedRatioMax: limits.sharedRatioMax,
  spansPerRequestMax: 3,
};

/** Few enough fields to stop in the middle of most spans. */
const fewFields: SpanLimits = { ...limits, fieldsMax: 12 };

export const wireTarget: Target = {
  name: 'wire',
  generate: generateExport,
  mutate: mutateWire,
  reduce: reduceWire,
  judge(request) {
    const traces = decodeTraces(request);
    const spans = traces === null ? [] : spansOf(request, traces);
    const verdict = judgeUnder(limits, request, traces, spans);
    // A matter of the input alone, so that a finding is found again.
    if (verdict.finding !== null || request.length % 3 > 0) return verdict;
    const tight = judgeUnder(request.length % 2 === 0 ? tightLimits : fewFields, request, traces, spans);
    const outcome = verdict.outcome === 'accepted' ? tight.outcome : verdict.outcome;
    return { outcome, shape: `${verdict.shape} ${tight.shape}`, finding: tight.finding };
  },
};

function judgeUnder(
  underLimits: SpanLimits,
  request: Uint8Array,
  traces: TracesData | null,
  spans: readonly ReferenceSpan[],
): Verdict {
  const walked = walkOrRefusal(request, underLimits);
  const size = 32 - Math.clz32(request.length);
  if (walked instanceof WireError) {
    const relative = Math.floor((8 * walked.offset) / (request.length + 1));
    const shape = `${classOf(walked.message)} ${size} ${relative} ${request[walked.offset]}`;
    if (traces === null) return { outcome: 'refused', shape, finding: null };
    const strictness = strictnesses.find(({ sentence }) => sentence.test(walked.message));
    if (strictness?.proves(request, traces, underLimits)) return { outcome: strictness.name, shape, finding: null };
    const kind = `refused by the walk alone: ${classOf(walked.message)}`;
    return { outcome: 'finding', shape, finding: { kind, detail: walked.message } };
  }
  const { spanCount, rejected, groups } = walked;
  const shape = `${Math.min(spanCount, 6)} ${Math.min(rejected.count, 4)} ${Math.min(groups.length, 4)} ${size} ${[...rejected.byFault.keys()].join(' ')}`;
  if (traces !== null)
    return { outcome: 'accepted', shape, finding: differenceOf(request, walked, spans, underLimits) };
  // Limits bound how far the walk looks into what it rejects. The damage must lie there, and in nothing that is stored.
  const isOutOfSight = walkOrRefusal(request, noSpanLimits) instanceof WireError;
  if (isOutOfSight && decodeTraces(storedSpans(request, walked)) !== null)
    return { outcome: outOfSight, shape, finding: null };
  return {
    outcome: 'finding',
    shape,
    finding: { kind: 'accepted by the walk alone', detail: JSON.stringify(rejected) },
  };
}

function walkOrRefusal(request: Uint8Array, underLimits: SpanLimits): WalkedExport | WireError {
  try {
    return walkExport(request, underLimits);
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
}

/** The sentence without its numbers. */
function classOf(sentence: string): string {
  return sentence.replaceAll(/\d+/g, 'n');
}

/** Ten bytes and more, of which the tenth holds more than the one bit that is left. */
function hasLongVarint(request: Uint8Array): boolean {
  let run = 0;
  for (const byte of request) {
    if (run >= 9 && byte > 1) return true;
    run = byte >= 0x80 ? run + 1 : 0;
  }
  return false;
}

/** The first thing about which the walk and the reference differ, or null. */
function differenceOf(
  request: Uint8Array,
  walked: WalkedExport,
  expected: readonly ReferenceSpan[],
  underLimits: SpanLimits,
): Finding | null {
  const { spanCount, rejected, spans } = walked;
  if (spanCount + rejected.count !== expected.length)
    return { kind: 'another number of spans', detail: `${spanCount} + ${rejected.count}, not ${expected.length}` };
  const counted = [...rejected.byFault.values()].reduce((sum, count) => sum + count, 0);
  if (counted !== rejected.count)
    return { kind: 'another number of faults', detail: `${counted}, not ${rejected.count}` };
  let row = 0;
  for (const [position, span] of expected.entries()) {
    const faults = faultsOf(span, underLimits, position);
    if (row < spanCount && spans.start[row] === span.start) {
      if (faults.certain.length > 0)
        return { kind: 'a faulty span is accepted', detail: `span ${position}: ${faults.certain.join(', ')}` };
      const wrong = wrongColumn(request, walked, row, span);
      if (wrong !== null) return { kind: `another ${wrong}`, detail: `span ${position}` };
      row += 1;
    } else {
      const reason = rejected.firstReason ?? '';
      if (faults.certain.length === 0 && faults.possible.length === 0)
        return { kind: 'a good span is rejected', detail: `span ${position} (the first is ${reason})` };
      const isFirst = row === position;
      if (isFirst && !(reason.startsWith(`span ${position}: `) && isReasonTrue(reason, faults)))
        return { kind: 'a wrong reason', detail: `span ${position}: ${reason}` };
    }
  }
  return row === spanCount ? null : { kind: 'another range', detail: `row ${row} starts at ${spans.start[row]}` };
}

/** The column in which a row differs from the reference's span, or null. */
function wrongColumn(request: Uint8Array, walked: WalkedExport, row: number, span: ReferenceSpan): string | null {
  const { spans, groups } = walked;
  const { content } = span;
  const group = groups[spans.group[row] ?? -1];
  if (spans.end[row] !== span.end) return 'end of a span';
  if (!areBytesAt(request, spans.traceIdAt[row], content.traceId)) return 'trace id';
  if (!areBytesAt(request, spans.spanIdAt[row], content.spanId)) return 'span id';
  const { startTimeUnixNano: start, endTimeUnixNano: end } = content;
  if (spans.startTimeHigh[row] !== start.high >>> 0 || spans.startTimeLow[row] !== start.low >>> 0) return 'start time';
  if (spans.endTimeHigh[row] !== end.high >>> 0 || spans.endTimeLow[row] !== end.low >>> 0) return 'end time';
  if (group === undefined || !areBytesAt(group.resourcePart, 0, span.group.resourcePart)) return 'resource';
  if (group.resourcePart.length !== span.group.resourcePart.length) return 'resource';
  if (!areBytesAt(group.scopePart, 0, span.group.scopePart)) return 'scope';
  return group.scopePart.length === span.group.scopePart.length ? null : 'scope';
}

function areBytesAt(bytes: Uint8Array, at: number | undefined, expected: Uint8Array): boolean {
  if (at === undefined) return false;
  for (let index = 0; index < expected.length; index += 1) if (bytes[at + index] !== expected[index]) return false;
  return true;
}
