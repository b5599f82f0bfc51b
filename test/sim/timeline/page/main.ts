/** Starts the page: reads the run out of it, and draws whenever something changed, once a frame. */
import { unpack, type PageData } from './columns.ts';
import { type Controls, listenToKeys, listenToLanes, listenToOverview } from './controls.ts';
import { Details, hintOf } from './details.ts';
import { Lanes } from './lanes.ts';
import { makeToggles, paintLegend } from './legend.ts';
import { Overview } from './overview.ts';
import { readPalette } from './paint.ts';
import { runOf } from './run.ts';
import { Scene } from './scene.ts';
import { View } from './view.ts';

function partAs<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no #${id}`);
  return found;
}

const part = (id: string): HTMLElement => partAs(id, HTMLElement);

const data = JSON.parse(part('data').textContent) as PageData;
const run = runOf(unpack(data.events));
const view = new View(run.endMs, () => changed());
const scene = new Scene(run, view, data.verdict);
const lanes = new Lanes(partAs('lanes', HTMLCanvasElement), scene);
const overview = new Overview(partAs('overview', HTMLCanvasElement), scene);
const details = new Details(part('details'), scene, choose);
const search = partAs('search', HTMLInputElement);
let palette = readPalette();
let frame = 0;
let addressTimer = 0;

function changed(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    lanes.paint(palette);
    overview.paint(palette);
  });
  clearTimeout(addressTimer);
  addressTimer = window.setTimeout(() => history.replaceState(null, '', view.fragment), 300);
}

function choose(event: number | null): void {
  scene.selected = event;
  const chosen = event === null ? undefined : run.events[event];
  if (chosen !== undefined) view.reveal(chosen.timeMs);
  details.paint();
  part('said').textContent = chosen === undefined ? '' : hintOf(chosen);
  changed();
}

function hover(event: number | null, x: number, y: number): void {
  const tip = part('tip');
  const seen = event === null ? undefined : run.events[event];
  tip.hidden = seen === undefined;
  if (seen !== undefined) {
    tip.textContent = hintOf(seen);
    tip.style.left = `${Math.min(x + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(y + 16, window.innerHeight - tip.offsetHeight - 8)}px`;
  }
  if (event === scene.hovered) return;
  scene.hovered = event;
  changed();
}

function find(direction: 1 | -1): void {
  if (scene.found === null) return;
  const middle = run.events.findIndex(({ timeMs }) => timeMs >= view.fromMs);
  const next = scene.step(direction, scene.selected ?? middle - direction);
  if (next !== null) choose(next);
}

function searched(): void {
  const hits = scene.search(search.value);
  part('hits').textContent = scene.found === null ? '' : `${hits} found`;
  details.paint();
  changed();
}

function begin(): void {
  const length = `${(run.endMs / 1_000).toFixed(1)} s`;
  part('about').textContent = `${run.nodes.length} nodes · ${length} simulated · ${run.events.length} events`;
  part('seed').textContent = `seed ${data.seed}`;
  part('verdict').hidden = data.verdict === null;
  part('broke').textContent = data.verdict ?? '';
  part('lanes').setAttribute(
    'aria-label',
    `Lanes of ${run.nodes.join(', ')} over ${length}. Arrow up and down go from event to event, and each is read out.`,
  );
  makeToggles(part('toggles'), scene, changed);
  paintLegend(part('legend'), palette);
  const controls: Controls = {
    scene,
    lanes,
    overview,
    choose,
    hover,
    find,
    search,
    help: partAs('help', HTMLDialogElement),
  };
  listenToLanes(partAs('lanes', HTMLCanvasElement), controls);
  listenToOverview(partAs('overview', HTMLCanvasElement), controls);
  listenToKeys(controls);
  search.addEventListener('input', searched);
  part('before').addEventListener('click', () => find(-1));
  part('after').addEventListener('click', () => find(1));
  new ResizeObserver(changed).observe(part('room'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    palette = readPalette();
    paintLegend(part('legend'), palette);
    changed();
  });
  window.addEventListener('hashchange', () => view.goTo(location.hash));
  details.paint();
  if (!view.goTo(location.hash)) view.showWhole();
}

begin();
