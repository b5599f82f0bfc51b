/** Messages as thin lines, from the band of the sender to that of the receiver. */
import type { Palette } from './paint.ts';
import { writeOver } from './paint.ts';
import { firstAt, groups, type Message } from './run.ts';
import { type Layout, type Scene, type Target, xOf } from './scene.ts';

interface Line {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** With fewer in sight, they have heads; with fewer still, names. */
const headsMax = 500;
const namesMax = 60;
const tickWidth = 5;
const tickHeight = 16;

export function paintMessages(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  const shown = messagesInSight(scene);
  const density = shown.length / Math.max(1, layout.width);
  const bold = density < 0.5 ? 0.9 : Math.max(0.15, 0.55 / Math.sqrt(density));
  const paths = new Map<string, Path2D>();
  /** Of each kind and direction, one a pixel is enough. */
  const drawn = new Map<number, number>();
  const marked: Message[] = [];
  for (const message of shown) {
    if (scene.isMarked(message.event)) marked.push(message);
    const dim = scene.isDim(message.event);
    const line = lineOf(scene, layout, message);
    const way = ((message.group * 16 + message.from) * 16 + message.to) * 2 + Number(dim);
    const pixel = Math.round(line.x2 * 2) * 8_192 + Math.round(line.x1 * 2);
    if (drawn.get(way) === pixel) continue;
    drawn.set(way, pixel);
    const key = `${message.group} ${dim ? 'dim' : ''}`;
    let path = paths.get(key);
    if (path === undefined) paths.set(key, (path = new Path2D()));
    path.moveTo(line.x1, line.y1);
    path.lineTo(line.x2, line.y2);
    if (shown.length <= headsMax) addHead(path, line);
  }
  for (const [key, path] of paths) {
    const group = Number.parseInt(key, 10);
    pen.globalAlpha = key.endsWith('dim') ? 0.08 : bold;
    pen.lineWidth = scene.found !== null && !key.endsWith('dim') ? 1.8 : 1;
    pen.strokeStyle = palette.groups[group] ?? palette.of.faint;
    pen.setLineDash(groups[group]?.name === 'append replies' && shown.length <= headsMax ? [4, 2] : []);
    pen.stroke(path);
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  for (const message of marked) paintMarked(pen, scene, palette, layout, message);
  if (shown.length <= namesMax) paintNamesOf(pen, scene, palette, { layout, messages: shown });
}

/** Each where there is room for it, along its line. */
function paintNamesOf(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  palette: Palette,
  { layout, messages }: { readonly layout: Layout; readonly messages: readonly Message[] },
): void {
  const taken: { x: number; y: number; width: number }[] = [];
  for (const message of messages) {
    if (scene.isDim(message.event)) continue;
    const { x1, y1, x2, y2 } = lineOf(scene, layout, message);
    const { width } = pen.measureText(message.name);
    const spot = [0.5, 0.25, 0.75, 0.38, 0.62]
      .map((share) => ({ x: x1 + share * (x2 - x1) + 5, y: y1 + share * (y2 - y1), width }))
      .find(({ x, y }) =>
        taken.every((other) => Math.abs(other.y - y) > 12 || x > other.x + other.width + 4 || other.x > x + width + 4),
      );
    if (spot === undefined) continue;
    taken.push(spot);
    writeOver(pen, palette, message.name, { ...spot, colour: palette.groups[message.group] ?? palette.of.text });
  }
}

/** What is chosen is drawn whole, even if nobody knows when it was sent. */
function paintMarked(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  palette: Palette,
  layout: Layout,
  message: Message,
): void {
  const line = edgesOf(scene, layout, message);
  const path = new Path2D();
  path.moveTo(line.x1, line.y1);
  path.lineTo(line.x2, line.y2);
  addHead(path, line);
  pen.lineWidth = 3;
  pen.strokeStyle = palette.of.pick;
  pen.setLineDash(message.sentMs === null ? [3, 3] : []);
  pen.stroke(path);
  pen.setLineDash([]);
}

export function messageAt(scene: Scene, layout: Layout, x: number, y: number): Target | null {
  let nearest: Message | null = null;
  let nearestPx = 6;
  for (const message of messagesInSight(scene)) {
    const px = distance(lineOf(scene, layout, message), x, y);
    if (px >= nearestPx) continue;
    nearest = message;
    nearestPx = px;
  }
  return nearest === null ? null : { kind: 'message', event: nearest.event, message: nearest };
}

function messagesInSight(scene: Scene): Message[] {
  const { run, view } = scene;
  const seen: Message[] = [];
  for (let at = firstAt(run.messages, ({ ms }) => ms, view.fromMs); at < run.messages.length; at += 1) {
    const message = run.messages[at];
    if (message === undefined || message.ms > view.toMs + run.longestFlightMs) break;
    if ((message.sentMs ?? message.ms) <= view.toMs && scene.isShown(message.event)) seen.push(message);
  }
  return seen;
}

function lineOf(scene: Scene, layout: Layout, message: Message): Line {
  const whole = edgesOf(scene, layout, message);
  if (message.sentMs !== null) return whole;
  const { x2, y2 } = whole;
  return { x1: x2 - tickWidth, y1: y2 + Math.sign(whole.y1 - y2) * tickHeight, x2, y2 };
}

/** From the edge of one band to the edge of the other. */
function edgesOf(scene: Scene, layout: Layout, { from, to, sentMs, ms }: Message): Line {
  const down = to > from;
  const { bands, bandHeight } = layout;
  return {
    x1: xOf(scene, layout, sentMs ?? ms),
    y1: (bands[from] ?? 0) + (down ? bandHeight : 0),
    x2: xOf(scene, layout, ms),
    y2: (bands[to] ?? 0) + (down ? 0 : bandHeight),
  };
}

function addHead(path: Path2D, { x1, y1, x2, y2 }: Line): void {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  for (const side of [-0.4, 0.4]) {
    path.moveTo(x2 - 6 * Math.cos(angle + side), y2 - 6 * Math.sin(angle + side));
    path.lineTo(x2, y2);
  }
}

function distance({ x1, y1, x2, y2 }: Line, x: number, y: number): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(x - x1 - share * dx, y - y1 - share * dy);
}
