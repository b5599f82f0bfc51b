/** A call tree as a flame graph: one HTML file that needs nothing else. The page is flame-page.html, its data put in. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from './cpu-profile.ts';

/** Frames below this share of the whole are too narrow to be seen, and left out; their callers keep their width. */
const shareMin = 0.0002;

/** `[name, total, self, children]`, times in us. */
type Packed = [string, number, number, Packed[]];

export function flamePage(tree: Frame, title: string): string {
  const page = readFileSync(join(import.meta.dirname, 'flame-page.html'), 'utf8');
  // `<` could end the script that the data stands in.
  const inScript = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');
  return page
    .replace("'TREE'", () => inScript(pack(tree, tree.totalUs * shareMin)))
    .replace("'TITLE'", () => inScript(title));
}

function pack({ name, totalUs, selfUs, children }: Frame, leastUs: number): Packed {
  const wide = [...children.values()].filter((child) => child.totalUs >= leastUs);
  const sorted = wide.toSorted((a, b) => b.totalUs - a.totalUs);
  return [name, Math.round(totalUs), Math.round(selfUs), sorted.map((child) => pack(child, leastUs))];
}
