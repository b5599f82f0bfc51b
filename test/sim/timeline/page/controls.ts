/** Wheel, pointer, keys and buttons. */
import type { Lanes } from './lanes.ts';
import type { Overview } from './overview.ts';
import { msAt, type Scene } from './scene.ts';

export interface Controls {
  readonly scene: Scene;
  readonly lanes: Lanes;
  readonly overview: Overview;
  readonly choose: (event: number | null) => void;
  readonly hover: (event: number | null, x: number, y: number) => void;
  readonly find: (direction: 1 | -1) => void;
  readonly search: HTMLInputElement;
  readonly help: HTMLDialogElement;
}

const zoomStep = 1.5;
const panShare = 0.2;
/** Of the run, around the end or a fault, when one goes there. */
const closeMs = 2_000;
const clickPxMax = 4;

export function listenToLanes(canvas: HTMLCanvasElement, { scene, lanes, choose, hover }: Controls): void {
  const { view } = scene;
  let drag: { x: number; lastX: number; moved: boolean } | null = null;
  canvas.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const sideways = event.shiftKey ? event.deltaX + event.deltaY : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY))
        view.pan((sideways / lanes.layout.width) * view.lengthMs);
      else
        view.zoom(
          Math.exp(Math.max(-120, Math.min(120, event.deltaY)) / 400),
          msAt(scene, lanes.layout, event.offsetX),
        );
    },
    { passive: false },
  );
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, lastX: event.offsetX, moved: false };
  });
  canvas.addEventListener('pointermove', (event) => {
    const { offsetX: x, offsetY: y } = event;
    if (drag === null) {
      hover(lanes.targetAt(x, y)?.event ?? null, event.clientX, event.clientY);
      return;
    }
    drag.moved ||= Math.abs(x - drag.x) > clickPxMax;
    if (drag.moved) view.pan(msAt(scene, lanes.layout, drag.lastX) - msAt(scene, lanes.layout, x));
    drag.lastX = x;
  });
  canvas.addEventListener('pointerup', (event) => {
    if (drag?.moved === false) choose(lanes.targetAt(event.offsetX, event.offsetY)?.event ?? null);
    drag = null;
  });
  canvas.addEventListener('pointercancel', () => (drag = null));
  canvas.addEventListener('pointerleave', () => hover(null, 0, 0));
  canvas.addEventListener('dblclick', (event) => view.zoom(0.25, msAt(scene, lanes.layout, event.offsetX)));
}

export function listenToOverview(canvas: HTMLCanvasElement, { scene, overview }: Controls): void {
  const { view } = scene;
  let grabbedMs: number | null = null;
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    const ms = overview.msAt(event.offsetX);
    const whole = view.lengthMs > 0.9 * (view.wholeToMs - view.wholeFromMs);
    if (ms < view.fromMs || ms > view.toMs || whole) view.centre(ms, whole ? 2 * closeMs : view.lengthMs);
    grabbedMs = ms - view.fromMs;
  });
  canvas.addEventListener('pointermove', (event) => {
    if (grabbedMs === null) return;
    const fromMs = overview.msAt(event.offsetX) - grabbedMs;
    view.show(fromMs, fromMs + view.lengthMs);
  });
  for (const end of ['pointerup', 'pointercancel'] as const) canvas.addEventListener(end, () => (grabbedMs = null));
}

/** What keys and buttons do. The names of the buttons are those in the page. */
function actionsOf({ scene, choose, search, help }: Controls): Readonly<Record<string, () => void>> {
  const { view, run } = scene;
  const step = (direction: 1 | -1): void => {
    const middle = (view.fromMs + view.toMs) / 2;
    const from = scene.selected ?? run.events.findIndex(({ timeMs }) => timeMs >= middle);
    const to = scene.step(direction, from);
    if (to !== null) choose(to);
  };
  const fault = (direction: 1 | -1): void => {
    const now = scene.selected ?? run.events.findIndex(({ timeMs }) => timeMs >= (view.fromMs + view.toMs) / 2);
    const faults = run.marks.filter(({ sort }) => sort === 'fault');
    const next = direction > 0 ? faults.find(({ event }) => event > now) : faults.findLast(({ event }) => event < now);
    if (next === undefined) return;
    if (view.lengthMs > 4 * closeMs) view.centre(next.ms, closeMs);
    choose(next.event);
  };
  return {
    nearer: () => view.zoom(1 / zoomStep),
    farther: () => view.zoom(zoomStep),
    left: () => view.pan(-panShare * view.lengthMs),
    right: () => view.pan(panShare * view.lengthMs),
    whole: () => view.showWhole(),
    start: () => view.show(view.wholeFromMs, view.wholeFromMs + Math.min(view.lengthMs, closeMs)),
    end: () => view.show(run.endMs - 0.9 * closeMs, run.endMs + 0.1 * closeMs),
    up: () => step(-1),
    down: () => step(1),
    faultBefore: () => fault(-1),
    faultAfter: () => fault(1),
    search: () => search.focus(),
    help: () => (help.open ? help.close() : help.showModal()),
    nothing: () => choose(null),
  };
}

const keys: Readonly<Record<string, string>> = {
  '+': 'nearer',
  '=': 'nearer',
  w: 'nearer',
  '-': 'farther',
  s: 'farther',
  ArrowLeft: 'left',
  a: 'left',
  ArrowRight: 'right',
  d: 'right',
  '0': 'whole',
  Home: 'start',
  End: 'end',
  e: 'end',
  ArrowUp: 'up',
  ArrowDown: 'down',
  '[': 'faultBefore',
  ']': 'faultAfter',
  '/': 'search',
  '?': 'help',
  Escape: 'nothing',
};

export function listenToKeys(controls: Controls): void {
  const actions = actionsOf(controls);
  const { search, find } = controls;
  for (const button of document.querySelectorAll<HTMLElement>('[data-do]'))
    button.addEventListener('click', () => actions[button.dataset['do'] ?? '']?.());
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') find(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape') search.blur();
  });
  document.addEventListener('keydown', (event) => {
    const typing = event.target === search || controls.help.open;
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== '?')) return;
    if (event.target === search) return;
    const action = actions[keys[event.key] ?? ''];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
