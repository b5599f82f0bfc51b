/** What all parts of the page look at: the run, the view of it, and what is chosen. And where a lane is on the canvas. */
import { textOf } from '../../event-text.ts';
import { groups, type Mark, type Message, type Operation, type Run, type Span } from './run.ts';
import type { View } from './view.ts';

/** Something that can be pointed at. */
export type Target =
  | { readonly kind: 'message'; readonly event: number; readonly message: Message }
  | { readonly kind: 'mark'; readonly event: number; readonly mark: Mark }
  | { readonly kind: 'operation'; readonly event: number; readonly operation: Operation }
  | { readonly kind: 'span'; readonly event: number; readonly span: Span };

export class Scene {
  readonly run: Run;
  readonly view: View;
  /** The rule that broke, at the end of the run. */
  readonly verdict: string | null;
  readonly groupShown: boolean[] = groups.map(({ shownAtFirst }) => shownAtFirst);
  selected: number | null = null;
  hovered: number | null = null;
  /** By event, what the search finds; null: nothing is searched. */
  found: Uint8Array | null = null;
  #texts: string[] | null = null;

  constructor(run: Run, view: View, verdict: string | null) {
    this.run = run;
    this.view = view;
    this.verdict = verdict;
  }

  /** A search shows what it finds, hidden kinds as well. */
  isShown(event: number): boolean {
    const group = this.run.groupOf[event] ?? -1;
    return group < 0 || this.groupShown[group] === true || this.found?.[event] === 1;
  }

  /** Something is searched, and this is not it. */
  isDim(event: number): boolean {
    return this.found !== null && this.found[event] !== 1;
  }

  isMarked(event: number): boolean {
    return event === this.selected || event === this.hovered;
  }

  /** Every word of `wanted` must be in the event. Gives how many have them. */
  search(wanted: string): number {
    const words = wanted.toLowerCase().split(' ').filter(Boolean);
    if (words.length === 0) {
      this.found = null;
      return 0;
    }
    const texts = (this.#texts ??= this.run.events.map((event) => textOf(event).toLowerCase()));
    this.found = Uint8Array.from(texts, (text) => Number(words.every((word) => text.includes(word))));
    return this.found.reduce((sum, hit) => sum + hit, 0);
  }

  /** The next shown event in that direction, of those found if something is searched. */
  step(direction: 1 | -1, from: number): number | null {
    for (let at = from + direction; at >= 0 && at < this.run.events.length; at += direction)
      if (this.isShown(at) && !this.isDim(at)) return at;
    return null;
  }
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Where time begins. */
  readonly left: number;
  readonly bandHeight: number;
  readonly clientHeight: number;
  /** Top of the band of a node, by its place. */
  readonly bands: readonly number[];
  /** Top of the bars of a client. */
  readonly clients: readonly number[];
}

export const axisHeight = 26;
export const labelHeight = 13;
/** Labels stand in so many rows above a band. */
export const labelRows = 2;
const everyoneHeight = labelRows * labelHeight + 14;
const bandHeight = 20;
const clientPitch = 18;
const lanePitchMin = labelRows * labelHeight + bandHeight + 26;
const lanePitchMax = 280;

export const layoutHeightMin = (run: Run): number =>
  axisHeight + everyoneHeight + run.nodes.length * lanePitchMin + run.clients.length * clientPitch + 16;

export function layOut(run: Run, width: number, height: number): Layout {
  const free = height - axisHeight - everyoneHeight - run.clients.length * clientPitch - 16;
  const pitch = Math.min(lanePitchMax, Math.max(lanePitchMin, free / Math.max(1, run.nodes.length)));
  const first = axisHeight + everyoneHeight + labelRows * labelHeight + 8;
  const bands = run.nodes.map((_, n) => Math.round(first + n * pitch));
  const clientsTop = (bands.at(-1) ?? first) + bandHeight + 24;
  const clients = run.clients.map((_, n) => clientsTop + n * clientPitch);
  return { width, height, left: 74, bandHeight, clientHeight: 13, bands, clients };
}

export function xOf({ view }: Scene, { left, width }: Layout, ms: number): number {
  return left + ((ms - view.fromMs) / view.lengthMs) * (width - left);
}

export function msAt({ view }: Scene, { left, width }: Layout, x: number): number {
  return view.fromMs + ((x - left) / (width - left)) * view.lengthMs;
}

/** Top of the marker of a mark on this lane; its labels stand on it. -1: it is on no lane. */
export function markTop({ bands }: Layout, lane: number): number {
  return lane < 0 ? axisHeight + everyoneHeight - 8 : (bands[lane] ?? 0) - 10;
}
