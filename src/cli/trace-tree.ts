/**
 * A trace as lines of text: a tree of spans, each with its service, duration and a bar on the trace's time line.
 * Pure. Every span is shown exactly once, also those whose parent is missing or is, through damage, its own descendant.
 */
import { clean, columnsOf, fit, painter } from './terminal-text.ts';
import type { TreeSpan } from './trace-json.ts';

export interface TreeOptions {
  /** Columns of the terminal. From 40 on, no line of the tree is longer. */
  readonly width: number;
  readonly colour: boolean;
}

const durationColumns = 9;
const barColumnsMin = 10;
const hues = ['cyan', 'green', 'yellow', 'blue', 'magenta'] as const;
const labelColumnsMin = 20;
/** Deeper branches are drawn no further to the right. */
const depthShownMax = 24;

export function renderTrace(spans: readonly TreeSpan[], { width, colour }: TreeOptions): string {
  const [first] = spans;
  if (first === undefined) return 'An empty trace.';
  const paint = painter(colour);
  const startNs = spans.reduce((least, span) => (span.startNs < least ? span.startNs : least), first.startNs);
  // A span that has not ended has no end time; it reaches as far as anybody is known to.
  const endNs = spans.reduce((most, { startNs: from, endNs: to }) => maxOf(most, from, to), startNs);
  const services = [...new Set(spans.map(({ service }) => service))].toSorted();
  const hueOf = new Map(services.map((service, index) => [service, hues[index % hues.length] ?? 'cyan']));

  const rows = [...walk(spans)].map((branch) => ({ ...branch, label: labelOf(branch) }));
  const labelWidth = rows.reduce((most, { label }) => Math.max(most, columnsOf(label)), 0);
  const barWidthMin = Math.max(barColumnsMin, width >> 2);
  const labelRoom = Math.max(labelColumnsMin, width - durationColumns - barWidthMin - 4);
  const labelColumns = Math.min(labelWidth, labelRoom);
  const barColumns = width - labelColumns - durationColumns - 4;

  const lines = rows.flatMap(({ span, branch, below, label }) => {
    const hue = hueOf.get(span.service) ?? 'cyan';
    const text = fit(label, labelColumns);
    const nameAt = branch.length + clean(span.service).length;
    const name = text.slice(nameAt);
    const painted =
      paint('dim', text.slice(0, branch.length)) +
      paint(hue, text.slice(branch.length, nameAt)) +
      (span.isError ? paint('red', name) : name);
    const pad = ' '.repeat(Math.max(0, labelColumns - columnsOf(text)));
    const line = `${painted}${pad}  ${(span.endNs === 0n ? 'open' : formatDuration(span.endNs - span.startNs)).padStart(durationColumns)}`;
    const { offset, bar } = barOf(span, startNs, endNs, Math.max(1, barColumns));
    const drawn = barColumns < barColumnsMin ? '' : `  ${' '.repeat(offset)}${paint(span.isError ? 'red' : hue, bar)}`;
    if (!span.isError) return [line + drawn];
    return [line + drawn, paint('red', fit(`${below}✗ ${clean(span.errorMessage) || 'error'}`, width))];
  });
  const errors = spans.filter(({ isError }) => isError).length;
  const summary = [count(spans.length, 'span'), count(services.length, 'service'), count(errors, 'error')]
    .filter((part) => part !== '')
    .concat(formatDuration(endNs - startNs), `from ${formatTime(startNs)}`);
  return [`${paint('bold', 'trace')} ${first.traceId}`, summary.join(', '), '', ...lines].join('\n');
}

const maxOf = (...values: bigint[]): bigint => values.reduce((most, value) => (value > most ? value : most));

/** `└─ checkout  place order (2 events, 1 link)` */
function labelOf({ span, branch }: Branch): string {
  const isOrphan = span.parentSpanId !== '' && branch === '';
  const notes = [count(span.events, 'event'), count(span.links, 'link'), isOrphan ? 'its parent is missing' : '']
    .filter((note) => note !== '')
    .join(', ');
  return `${branch}${clean(span.service)}  ${clean(span.name)}${notes === '' ? '' : ` (${notes})`}`;
}

interface Branch {
  readonly span: TreeSpan;
  /** What is drawn before the span, and before lines under it that belong to it. */
  readonly branch: string;
  readonly below: string;
}

/** Depth first, siblings by start; without recursion, because a trace may be one chain of 100,000 spans. */
function* walk(spans: readonly TreeSpan[]): Generator<Branch> {
  const ordered = spans.toSorted((a, b) => (a.startNs === b.startNs ? 0 : a.startNs < b.startNs ? -1 : 1));
  const ids = new Set(ordered.map(({ spanId }) => spanId));
  const children = Map.groupBy(ordered, ({ parentSpanId }) => parentSpanId);
  const seen = new Set<TreeSpan>();
  // The same span id with other content appears twice; its children hang under the first.
  const expanded = new Set<string>();
  const isRoot = (span: TreeSpan): boolean => !ids.has(span.parentSpanId);
  // Spans that no root reaches form rings; the earliest of each ring stands in for a root.
  for (const root of [...ordered.filter(isRoot), ...ordered]) {
    const stack = [{ span: root, trunk: '', isLast: true, depth: 0 }];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const { span, trunk, isLast, depth } = next;
      if (seen.has(span)) continue;
      seen.add(span);
      const inner = depth === 0 || depth > depthShownMax ? trunk : trunk + (isLast ? '   ' : '│  ');
      const under = expanded.has(span.spanId)
        ? []
        : (children.get(span.spanId) ?? []).filter((child) => !seen.has(child));
      expanded.add(span.spanId);
      yield {
        span,
        branch: depth === 0 ? '' : trunk + (isLast ? '└─ ' : '├─ '),
        below: inner + (under.length > 0 ? '│  ' : ''),
      };
      for (const [index, child] of under.toReversed().entries()) {
        stack.push({ span: child, trunk: inner, isLast: index === 0, depth: depth + 1 });
      }
    }
  }
}

/** Where a span lies on the trace's time line, in columns; at least a sliver wide. */
function barOf(span: TreeSpan, startNs: bigint, endNs: bigint, columns: number): { offset: number; bar: string } {
  const total = Math.max(1, Number(endNs - startNs));
  const offset = Math.min(columns - 1, Math.floor((Number(span.startNs - startNs) / total) * columns));
  const length = Math.round((Math.max(0, Number(span.endNs - span.startNs)) / total) * columns);
  return { offset, bar: length === 0 ? '▏' : '█'.repeat(Math.min(length, columns - offset)) };
}

/** Three significant digits and a unit: `1.23 ms`. A span that ends before it starts keeps its minus. */
export function formatDuration(ns: bigint): string {
  const value = Number(ns);
  const units = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
  ] as const;
  const [size, unit] = units.find(([least]) => Math.abs(value) >= least) ?? [1, 'ns'];
  const scaled = value / size;
  const digits = unit === 'ns' || Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${unit}`;
}

/** UTC to the millisecond; nanoseconds as they are when no calendar has them. */
function formatTime(ns: bigint): string {
  const time = new Date(Number(ns / 1_000_000n));
  return Number.isNaN(time.getTime()) ? `${ns} ns` : time.toISOString().replace('T', ' ').replace('Z', ' UTC');
}

const count = (number: number, word: string): string =>
  number === 0 ? '' : `${number} ${word}${number === 1 ? '' : 's'}`;
