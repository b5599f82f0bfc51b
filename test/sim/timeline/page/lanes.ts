/** The large canvas, without its messages: time, bands of the nodes, marks, and what clients did. */
import { paintMessages, messageAt } from './messages.ts';
import { boxOf, paintOperations } from './operations.ts';
import { type Palette, paintState, penFor, textOn, writeOver } from './paint.ts';
import type { Mark, Run } from './run.ts';
import {
  axisHeight,
  markTop,
  labelHeight,
  labelRows,
  type Layout,
  layOut,
  layoutHeightMin,
  msAt,
  type Scene,
  type Target,
  xOf,
} from './scene.ts';

export class Lanes {
  readonly #canvas: HTMLCanvasElement;
  readonly #scene: Scene;
  layout: Layout;

  constructor(canvas: HTMLCanvasElement, scene: Scene) {
    this.#canvas = canvas;
    this.#scene = scene;
    this.layout = layOut(scene.run, 1, 1);
  }

  paint(palette: Palette): void {
    const room = this.#canvas.parentElement ?? this.#canvas;
    const height = Math.max(layoutHeightMin(this.#scene.run), room.clientHeight);
    this.#canvas.style.height = `${height}px`;
    this.layout = layOut(this.#scene.run, room.clientWidth, height);
    const pen = penFor(this.#canvas, this.layout.width, height);
    const { left } = this.layout;
    paintAxis(pen, this.#scene, palette, this.layout);
    pen.save();
    pen.beginPath();
    pen.rect(left, axisHeight, this.layout.width - left, height - axisHeight);
    pen.clip();
    paintMessages(pen, this.#scene, palette, this.layout);
    paintBands(pen, this.#scene, palette, this.layout);
    paintOperations(pen, this.#scene, palette, this.layout);
    paintMarks(pen, this.#scene, palette, this.layout);
    paintVerdict(pen, this.#scene, palette, this.layout);
    pen.restore();
    paintNames(pen, this.#scene.run, palette, this.layout);
  }

  /** What is at this point: the smallest thing first. */
  targetAt(x: number, y: number): Target | null {
    const scene = this.#scene;
    const { layout } = this;
    if (x < layout.left || y < axisHeight) return null;
    for (const mark of scene.run.marks)
      for (const lane of lanesOf(mark))
        if (Math.abs(xOf(scene, layout, mark.ms) - x) < 6 && Math.abs(markTop(layout, lane) + 4 - y) < 9)
          return { kind: 'mark', event: mark.event, mark };
    for (const operation of scene.run.operations) {
      const box = boxOf(scene, layout, operation);
      const inside = y >= box.y - 2 && y <= box.y + layout.clientHeight + 2;
      if (inside && x >= box.x - 2 && x <= box.x + box.width + 2)
        return { kind: 'operation', event: operation.event, operation };
    }
    const ms = msAt(scene, layout, x);
    const lane = layout.bands.findIndex((top) => y >= top && y <= top + layout.bandHeight);
    const span = scene.run.spans[lane]?.findLast(({ fromMs, toMs }) => fromMs <= ms && ms <= toMs);
    if (span !== undefined) return { kind: 'span', event: span.event, span };
    return messageAt(scene, layout, x, y);
  }
}

const lanesOf = ({ lanes }: Mark): readonly number[] => (lanes.length === 0 ? [-1] : lanes);

function paintAxis(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  const { view } = scene;
  const raw = view.lengthMs / ((layout.width - layout.left) / 110);
  const power = 10 ** Math.floor(Math.log10(raw));
  const stepMs = [1, 2, 5, 10].map((n) => n * power).find((step) => step >= raw) ?? raw;
  const digits = Math.max(0, 3 - Math.floor(Math.log10(stepMs)));
  pen.lineWidth = 1;
  for (let n = Math.ceil(view.fromMs / stepMs); n * stepMs <= view.toMs; n += 1) {
    const x = Math.round(xOf(scene, layout, n * stepMs)) + 0.5;
    if (x < layout.left) continue;
    pen.strokeStyle = palette.of.line;
    pen.beginPath();
    pen.moveTo(x, axisHeight - 6);
    pen.lineTo(x, layout.height);
    pen.stroke();
    pen.fillStyle = palette.of.text;
    pen.fillText(`${((n * stepMs) / 1_000).toFixed(digits)} s`, x + 4, axisHeight / 2);
  }
}

function paintNames(pen: CanvasRenderingContext2D, run: Run, palette: Palette, layout: Layout): void {
  pen.fillStyle = palette.of.text;
  pen.font = '600 13px system-ui, sans-serif';
  for (const [n, name] of run.nodes.entries()) pen.fillText(name, 8, (layout.bands[n] ?? 0) + layout.bandHeight / 2);
  pen.font = '11px system-ui, sans-serif';
  for (const [n, name] of run.clients.entries())
    pen.fillText(name, 8, (layout.clients[n] ?? 0) + layout.clientHeight / 2);
  pen.fillStyle = palette.of.faint;
  pen.fillText('everyone', 8, markTop(layout, -1) + 4);
}

function paintBands(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  const { run, view } = scene;
  for (const [n, spans] of run.spans.entries()) {
    const y = layout.bands[n] ?? 0;
    pen.fillStyle = palette.of.lane;
    pen.fillRect(layout.left, y, layout.width - layout.left, layout.bandHeight);
    for (const span of spans) {
      if (span.toMs < view.fromMs || span.fromMs > view.toMs) continue;
      const x = Math.max(layout.left, xOf(scene, layout, span.fromMs));
      const width = Math.max(0.7, Math.min(layout.width, xOf(scene, layout, span.toMs)) - x);
      pen.globalAlpha = scene.isDim(span.event) ? 0.4 : 1;
      paintState(pen, palette, span, { x, y, width, height: layout.bandHeight });
      pen.globalAlpha = 1;
      const words = wordsThatFit(pen, span.state, span.term, width - 8);
      if (words === '') continue;
      const place = { x: x + 5, y: y + layout.bandHeight / 2 + 0.5 };
      if (span.state === 'down' || span.state === 'paused' || span.state === 'starting')
        writeOver(pen, palette, words, {
          ...place,
          y: place.y - (span.state === 'starting' ? 2 : 0),
          colour: palette.of.text,
        });
      else {
        pen.fillStyle = textOn(palette, span.state);
        pen.fillText(words, place.x, place.y);
      }
    }
    for (const span of spans) if (scene.isMarked(span.event)) outline(pen, scene, palette, layout, { span, y });
  }
}

function outline(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  palette: Palette,
  layout: Layout,
  { span, y }: { span: { fromMs: number; toMs: number }; y: number },
): void {
  const x = xOf(scene, layout, span.fromMs);
  pen.lineWidth = 2;
  pen.strokeStyle = palette.of.pick;
  pen.strokeRect(x, y, Math.max(2, xOf(scene, layout, span.toMs) - x), layout.bandHeight);
}

function wordsThatFit(pen: CanvasRenderingContext2D, state: string, term: number, width: number): string {
  if (width < 8) return '';
  const variants = term === 0 ? [state] : [`${state}, term ${term}`, state === 'leader' ? `T${term}` : state];
  return [...variants, state === 'leader' ? `${term}` : ''].find((text) => pen.measureText(text).width <= width) ?? '';
}

function paintMarks(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  const { run, view } = scene;
  const labels = new Labels();
  const inSight = run.marks.filter(({ ms, healedMs }) => (healedMs ?? ms) >= view.fromMs && ms <= view.toMs);
  // Where there is no room for all, faults have it.
  const notes = inSight.filter(({ sort }) => sort === 'note');
  for (const mark of [...inSight.filter(({ sort }) => sort !== 'note'), ...notes]) {
    const x = xOf(scene, layout, mark.ms);
    const colour = scene.isMarked(mark.event) ? palette.of.pick : palette.of[mark.sort];
    for (const lane of lanesOf(mark)) {
      const top = markTop(layout, lane);
      pen.globalAlpha = scene.isDim(mark.event) ? 0.2 : 1;
      pen.fillStyle = colour;
      if (mark.healedMs !== null) pen.fillRect(x, top + 6, xOf(scene, layout, mark.healedMs) - x, 2);
      paintMarker(pen, mark, lane, { x, top, layout });
      const text = mark.text.length > 60 ? `${mark.text.slice(0, 57)}...` : mark.text;
      const row = x < layout.left - 2 ? null : labels.rowFor(lane, x, x + 14 + pen.measureText(text).width);
      if (row === null) continue;
      const y = top - 6 - row * labelHeight;
      writeOver(pen, palette, text, { x: x + 3, y, colour });
      if (row > 0) pen.fillRect(x - 0.5, y, 1, row * labelHeight + 6);
    }
  }
  pen.globalAlpha = 1;
}

/** Keeps labels off one another. */
class Labels {
  readonly #taken = new Map<string, [from: number, to: number][]>();

  /** Null: there is no room. */
  rowFor(lane: number, from: number, to: number): number | null {
    for (let row = 0; row < labelRows; row += 1) {
      const key = `${lane} ${row}`;
      const taken = this.#taken.get(key) ?? [];
      if (taken.some(([begin, end]) => begin < to && end > from)) continue;
      this.#taken.set(key, [...taken, [from, to]]);
      return row;
    }
    return null;
  }
}

/** A fault points at what it hits, a heal is a ring, a note a dot. */
function paintMarker(
  pen: CanvasRenderingContext2D,
  { sort }: Mark,
  lane: number,
  { x, top, layout }: { x: number; top: number; layout: Layout },
): void {
  pen.beginPath();
  if (sort === 'fault') {
    pen.moveTo(x - 5, top);
    pen.lineTo(x + 5, top);
    pen.lineTo(x, top + 9);
    pen.fill();
    if (lane >= 0) pen.fillRect(x - 0.75, top + 9, 1.5, layout.bandHeight + 2);
    return;
  }
  pen.arc(x, top + 4, sort === 'heal' ? 3.5 : 2, 0, 7);
  if (sort === 'note') pen.fill();
  else {
    pen.lineWidth = 2;
    pen.strokeStyle = pen.fillStyle;
    pen.stroke();
  }
}

function paintVerdict(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  if (scene.verdict === null) return;
  const x = xOf(scene, layout, scene.run.endMs);
  pen.fillStyle = palette.of.broken;
  pen.fillRect(x - 1, axisHeight, 2, layout.height);
  const text = `✗ ${scene.verdict.split(/[:\n]/, 1)[0]?.slice(0, 30)}`;
  const place = { x: x - 6 - pen.measureText(text).width, y: axisHeight + 8, colour: palette.of.broken };
  writeOver(pen, palette, text, place);
}
