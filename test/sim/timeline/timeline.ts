/**
 * A picture of one run, in one HTML file that needs nothing else: nodes as lanes, messages, faults, what clients were told.
 * The page is what stands in page/, put together: its scripts lose their types, imports and exports, and become one.
 */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import type { TimedEvent } from '../journal.ts';
import { pack, type PageData } from './page/columns.ts';

export interface TimelineOptions {
  readonly seed: number;
  readonly events: readonly TimedEvent[];
  /** The rule that broke. */
  readonly verdict?: string;
}

/** Whoever imports stands after what it imports. Top-level names must differ: they share one scope. */
const scripts = [
  '../event-text.ts',
  'page/columns.ts',
  'page/run.ts',
  'page/view.ts',
  'page/scene.ts',
  'page/paint.ts',
  'page/messages.ts',
  'page/operations.ts',
  'page/lanes.ts',
  'page/overview.ts',
  'page/details.ts',
  'page/legend.ts',
  'page/controls.ts',
  'page/main.ts',
];

export function drawTimeline({ seed, events, verdict }: TimelineOptions): string {
  const data: PageData = { seed, verdict: verdict ?? null, events: pack(events) };
  const parts: Readonly<Record<string, string>> = {
    title: `seed ${seed}${verdict === undefined ? '' : ' failed'}`,
    style: read('page/page.css'),
    // In a script element only `<` can begin something else, and JSON has it in strings alone.
    data: JSON.stringify(data).replaceAll('<', '\\u003c'),
    script: scripts.map((path) => plainScript(path)).join('\n'),
  };
  return read('page/page.html').replaceAll(/<!-- (\w+) -->/g, (slot, name: string) => parts[name] ?? slot);
}

function plainScript(path: string): string {
  return stripTypeScriptTypes(read(path))
    .replaceAll(/^import [^;]*;$/gm, '')
    .replaceAll(/^export /gm, '')
    .replaceAll(/[ \t]+$/gm, '')
    .replaceAll(/\n{2,}/g, '\n')
    .trim();
}

function read(path: string): string {
  return readFileSync(join(import.meta.dirname, path), 'utf8');
}
