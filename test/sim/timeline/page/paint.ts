/** Colours come from the style, which knows light and dark. What is told by colour is told by a pattern or a word as well. */
import { groups } from './run.ts';

const plainNames = [
  'text',
  'faint',
  'line',
  'back',
  'lane',
  'fault',
  'heal',
  'note',
  'broken',
  'pick',
  'find',
] as const;
const outcomeNames = ['ok', 'unknown', 'refused'] as const;
export const stateNames = ['leader', 'candidate', 'pre-candidate', 'follower', 'starting', 'paused', 'down'] as const;
type Name = (typeof plainNames)[number] | (typeof outcomeNames)[number];

export interface Palette {
  readonly of: Readonly<Record<Name, string>>;
  /** By group of messages. */
  readonly groups: readonly string[];
  readonly states: ReadonlyMap<string, string>;
  /** Leaders of even and odd terms, so that one does not run into the next. */
  readonly leaderOdd: string;
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const all: readonly Name[] = [...plainNames, ...outcomeNames];
  return {
    of: Object.fromEntries(all.map((name) => [name, read(name)])) as Record<Name, string>,
    groups: groups.map(({ name }) => read(name.replaceAll(' ', '-'))),
    states: new Map(stateNames.map((name) => [name, read(name)])),
    leaderOdd: read('leader-odd'),
  };
}

function stateColour(palette: Palette, state: string, term: number): string {
  if (state === 'leader' && term % 2 === 1) return palette.leaderOdd;
  return palette.states.get(state) ?? palette.of.faint;
}

/** Candidates are lower than leaders, a paused node is striped, one that is down is a line. */
export function paintState(
  pen: CanvasRenderingContext2D,
  palette: Palette,
  { state, term }: { readonly state: string; readonly term: number },
  box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
): void {
  const { x, y, width, height } = box;
  const colour = stateColour(palette, state, term);
  pen.fillStyle = colour;
  if (state === 'down') {
    pen.fillRect(x, y + height / 2 - 1, width, 2);
  } else if (state === 'paused') {
    pen.globalAlpha *= 0.35;
    pen.fillRect(x, y, width, height);
    pen.globalAlpha /= 0.35;
    for (let stripe = Math.ceil(x / 6) * 6; stripe < x + width; stripe += 6)
      pen.fillRect(stripe, y, Math.min(2, x + width - stripe), height);
  } else if (state === 'starting') {
    pen.fillRect(x, y + height - 5, width, 5);
  } else pen.fillRect(x, y, width, height);
}

export function textOn(palette: Palette, state: string): string {
  return state === 'leader' ? '#fff' : state.endsWith('candidate') ? '#000' : palette.of.text;
}

/** Makes the canvas as sharp as the screen. Gives its pen, in CSS pixels, on a clean sheet. */
export function penFor(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio;
  const size = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
  const pen = canvas.getContext('2d');
  if (pen === null) throw new Error('this browser cannot draw');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11px system-ui, sans-serif';
  pen.textBaseline = 'middle';
  return pen;
}

/** Text that stays readable on whatever is beneath. */
export function writeOver(
  pen: CanvasRenderingContext2D,
  palette: Palette,
  text: string,
  place: { readonly x: number; readonly y: number; readonly colour: string },
): void {
  pen.lineWidth = 3;
  pen.lineJoin = 'round';
  pen.strokeStyle = palette.of.back;
  pen.strokeText(text, place.x, place.y);
  pen.fillStyle = place.colour;
  pen.fillText(text, place.x, place.y);
}
