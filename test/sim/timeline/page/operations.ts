/** What clients asked for, as bars from the question to the answer. */
import { type Palette, writeOver } from './paint.ts';
import type { Operation } from './run.ts';
import { type Layout, type Scene, xOf } from './scene.ts';

const barGap = 1;

export function boxOf(scene: Scene, layout: Layout, operation: Operation): { x: number; y: number; width: number } {
  const x = xOf(scene, layout, operation.fromMs);
  const width = Math.max(1.5, xOf(scene, layout, operation.toMs) - x - barGap);
  return { x, y: layout.clients[operation.client] ?? 0, width };
}

/** Writes are whole bars, reads half ones, unless they were not answered. */
export function paintOperations(pen: CanvasRenderingContext2D, scene: Scene, palette: Palette, layout: Layout): void {
  const { run, view } = scene;
  for (const operation of run.operations) {
    if (operation.toMs < view.fromMs || operation.fromMs > view.toMs) continue;
    const { x, y, width } = boxOf(scene, layout, operation);
    const thin = operation.what === 'read' && operation.outcome === 'ok';
    const height = thin ? layout.clientHeight / 2 : layout.clientHeight;
    pen.globalAlpha = scene.isDim(operation.event) ? 0.15 : 1;
    pen.fillStyle = palette.of[operation.outcome];
    pen.fillRect(x, y + layout.clientHeight - height, width, height);
    pen.globalAlpha = 1;
    if (scene.isMarked(operation.event)) paintWay(pen, scene, palette, layout, operation);
    const at = Math.max(layout.left, x);
    const node = run.nodes[operation.node] ?? '';
    const words = [`${operation.what} ${node} ${operation.outcome}`, node].find(
      (text) => pen.measureText(text).width < x + width - at - 6,
    );
    if (words === undefined || scene.isDim(operation.event)) continue;
    if (thin) writeOver(pen, palette, words, { x: at + 3, y: y + 6, colour: palette.of.text });
    else {
      pen.fillStyle = operation.outcome === 'unknown' ? '#000' : '#fff';
      pen.fillText(words, at + 3, y + layout.clientHeight / 2 + 0.5);
    }
  }
}

/** Which node it went through. */
function paintWay(
  pen: CanvasRenderingContext2D,
  scene: Scene,
  palette: Palette,
  layout: Layout,
  operation: Operation,
): void {
  const { x, y, width } = boxOf(scene, layout, operation);
  const bandY = (layout.bands[operation.node] ?? 0) + layout.bandHeight;
  pen.strokeStyle = palette.of.pick;
  pen.lineWidth = 2;
  pen.strokeRect(x - 1, y - 1, width + 2, layout.clientHeight + 2);
  pen.setLineDash([3, 3]);
  pen.beginPath();
  for (const end of [x, x + width]) {
    pen.moveTo(end, y);
    pen.lineTo(end, bandY);
  }
  pen.stroke();
  pen.setLineDash([]);
}
