/**
 * A trace as lines of text: a tree of spans, each with its service, duration and a bar on the trace's time line.
 * Pure. Every span is shown exactly once, also those whose parent is missing or is, through damage, its own descendant.
 */
import { stripVTControlCharacters } from 'node:util';
import type { TreeSpan } from './trace-json.ts';

export interface TreeOptions {
  /** Columns of the terminal; no line is longer, but for the two lines of the heading. */
  readonly width: number;
  readonly colour: boolean;
}

const durationColumns = 9;
const barColumnsMin = 10;
/** Deeper branches are drawn no further to the right. */
const depthShownMax = 24;

export function renderTrace(spans: readonly TreeSpan[], { width, colour }: TreeOptions): string {
  const [first] = spans;
  if (first === undefined) return 'An empty trace.';
  const paint = painter(colour);
  const startNs = spans.reduce((least, span) => (span.startNs < least ? span.startNs : least), first.startNs);
  const endNs = spans.reduce((most, span) => (span.endNs > most ? span.endNs : most), first.endNs);
  const services = [...new Set(spans.map(({ service }) => service))].toSorted();
  const errors = spans.filter(({ isError }) => isError).length;

  const rows = [...walk(spans)].flatMap(({ span, branch, below }) => {
    const notes = [count(span.events, 'event'), count(span.links, 'link')].filter((note) => note !== '').join(', ');
    const orphan = span.parentSpanId !== '' && branch === '' ? ' (its parent is missing)' : '';
    const label = {
      branch,
      service: clean(span.service),
      name: clean(span.name) + orphan,
      notes: notes === '' ? '' : ` (${notes})`,
      span,
    };
    if (!span.isError) return [label];
    return [label, { branch: below, error: `✗ ${clean(span.errorMessage) || 'error'}` }];
  });
  const labelWidth = Math.max(...rows.map((row) => ('span' in row ? columnsOf(plainLabel(row)) : 0)));
  const labelColumns = Math.min(
    labelWidth,
    Math.max(20, width - durationColumns - 2 - Math.max(barColumnsMin, width >> 2)),
  );
  const barColumns = width - labelColumns - durationColumns - 4;

  const lines = rows.map((row) => {
    if (!('span' in row)) return paint('red', fit(row.branch + row.error, width));
    const { branch, service, span } = row;
    const text = fit(plainLabel(row), labelColumns);
    const head = branch.length + service.length;
    const painted =
      paint('dim', text.slice(0, branch.length)) +
      paint(hue(services.indexOf(span.service)), text.slice(branch.length, head)) +
      (span.isError ? paint('red', text.slice(head)) : text.slice(head));
    const pad = ' '.repeat(Math.max(0, labelColumns - columnsOf(text)));
    const duration = formatDuration(span.endNs - span.startNs).padStart(durationColumns);
    const line = `${painted}${pad}  ${duration}`;
    if (barColumns < barColumnsMin) return line;
    const { offset, bar } = barOf(span, startNs, endNs, barColumns);
    return `${line}  ${' '.repeat(offset)}${paint(span.isError ? 'red' : hue(services.indexOf(span.service)), bar)}`;
  });
  const counts = [count(spans.length, 'span'), count(services.length, 'service'), count(errors, 'error')];
  const summary = [
    ...counts.filter((part) => part !== ''),
    formatDuration(endNs - startNs),
    `from ${formatTime(startNs)}`,
  ];
  return [`${paint('bold', 'trace')} ${first.traceId}`, summary.join(', '), '', ...lines].join('\n');
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
        below: inner + (under.length > 0 ? '│  ' : '   '),
      };
      for (const [index, child] of under.toReversed().entries()) {
        stack.push({ span: child, trunk: inner, isLast: index === 0, depth: depth + 1 });
      }
    }
  }
}

interface Label {
  readonly branch: string;
  readonly service: string;
  readonly name: string;
  readonly notes: string;
}
const plainLabel = ({ branch, service, name, notes }: Label): string => `${branch}${service}  ${name}${notes}`;

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

/** Names come from outside: nothing in them may move the cursor, change colours or break a line. */
function clean(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** Columns a terminal needs: two for wide characters, none for combining ones. Close enough for alignment. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += characterColumns(character);
  return columns;
}
function characterColumns(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return /[ᄀ-ᅟ⺀-꓏가-힣豈-﫿︰-﹏＀-｠￠-￦]|\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
}

/** The text cut to `columns`, with an ellipsis when something is gone. */
function fit(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let used = 1;
  for (const character of text) {
    used += characterColumns(character);
    if (used > columns) break;
    kept += character;
  }
  return `${kept}…`;
}

const colours = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
type Colour = keyof typeof colours;
const hues = ['cyan', 'green', 'yellow', 'blue', 'magenta'] as const;
const hue = (index: number): Colour => hues[index % hues.length] ?? 'cyan';

function painter(enabled: boolean): (colour: Colour, text: string) => string {
  return (colour, text) => (enabled && text !== '' ? `\u001B[${colours[colour]}m${text}\u001B[0m` : text);
}
