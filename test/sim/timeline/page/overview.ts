/** The whole run in a strip: who led, where faults were, what the search found, and which part of it is in sight. */
import { type Palette, paintState, penFor } from './paint.ts';
import type { Scene } from './scene.ts';

const top = 9;
const pad = 4;

export class Overview {
  readonly #canvas: HTMLCanvasElement;
  readonly #scene: Scene;

  constructor(canvas: HTMLCanvasElement, scene: Scene) {
    this.#canvas = canvas;
    this.#scene = scene;
  }

  msAt(x: number): number {
    const { wholeFromMs, wholeToMs } = this.#scene.view;
    return wholeFromMs + (x / this.#canvas.clientWidth) * (wholeToMs - wholeFromMs);
  }

  paint(palette: Palette): void {
    const { run, view, verdict, found } = this.#scene;
    const width = this.#canvas.clientWidth;
    const height = this.#canvas.clientHeight;
    const pen = penFor(this.#canvas, width, height);
    const xAt = (ms: number): number => ((ms - view.wholeFromMs) / (view.wholeToMs - view.wholeFromMs)) * width;
    const pitch = (height - top - pad * 2) / Math.max(1, run.nodes.length);
    for (const [n, spans] of run.spans.entries())
      for (const span of spans) {
        const x = xAt(span.fromMs);
        const box = { x, y: top + n * pitch, width: Math.max(0.7, xAt(span.toMs) - x), height: pitch - 2 };
        paintState(pen, palette, span, box);
      }
    pen.fillStyle = palette.of.fault;
    for (const { sort, ms } of run.marks) if (sort === 'fault') pen.fillRect(xAt(ms) - 0.75, 1, 1.5, top - 3);
    if (found !== null) {
      pen.fillStyle = palette.of.find;
      for (const [at, hit] of found.entries())
        if (hit === 1) pen.fillRect(xAt(run.events[at]?.timeMs ?? 0) - 0.75, height - pad - 3, 1.5, pad + 3);
    }
    if (verdict !== null) {
      pen.fillStyle = palette.of.broken;
      pen.fillRect(xAt(run.endMs) - 1, 0, 3, height);
    }
    const from = xAt(view.fromMs);
    const to = Math.max(from + 3, xAt(view.toMs));
    pen.fillStyle = palette.of.back;
    pen.globalAlpha = 0.55;
    pen.fillRect(0, 0, from, height);
    pen.fillRect(to, 0, width - to, height);
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.strokeStyle = palette.of.pick;
    pen.strokeRect(from + 1, 1, to - from - 2, height - 2);
  }
}
