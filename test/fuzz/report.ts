/** What a run says at its end, for people; and what it leaves behind of each finding. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Campaign, FoundInput } from './campaign.ts';
import type { TargetName } from './target.ts';

const columns = ['target', 'inputs', 'a second', 'accepted', 'refused', 'differences', 'findings'] as const;

/** One line for each target, and below it the known differences by name. */
export function tableOf(runs: readonly { readonly campaign: Campaign; readonly seconds: number }[]): string {
  const rows = runs.map(({ campaign, seconds }) => {
    const { target, inputs, outcomes, findings } = campaign;
    const count = (name: string): number => outcomes.get(name) ?? 0;
    const known = differencesOf(campaign);
    const differences = known.reduce((sum, [, times]) => sum + times, 0);
    const numbers = [inputs, inputs / Math.max(seconds, 0.001), count('accepted'), count('refused'), differences];
    return {
      cells: [target.name, ...numbers.map(grouped), String(findings.length)],
      below: known.map(([name, times]) => `    ${name}: ${grouped(times)}`),
    };
  });
  const widths = columns.map((title, at) => Math.max(title.length, ...rows.map(({ cells }) => cells[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ');
  return [line(columns), ...rows.flatMap(({ cells, below }) => [line(cells), ...below])].join('\n');
}

/** Outcomes that are neither agreement nor a finding, the most frequent first. */
function differencesOf({ outcomes }: Campaign): [string, number][] {
  const plain = new Set(['accepted', 'refused', 'finding']);
  return [...outcomes].filter(([name]) => !plain.has(name)).sort(([, a], [, b]) => b - a);
}

/** Writes the finding to a file in `folder` and returns what there is to say about it. */
export function keepFinding(folder: string, target: TargetName, { kind, detail, input, after }: FoundInput): string {
  const hex = Buffer.from(input).toString('hex');
  const slug = kind.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 48);
  const name = `${target}-${slug}-${createHash('sha256').update(input).digest('hex').slice(0, 8)}.hex`;
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, `# ${kind}\n${hex}\n`);
  const replay = `node test/fuzz/main.ts --target ${target} --replay ${relative(process.cwd(), path)}`;
  return `finding in ${target} after ${grouped(after)} inputs: ${kind}\n  ${detail}\n  ${hex || '(no bytes)'}\n  ${replay}`;
}

export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
