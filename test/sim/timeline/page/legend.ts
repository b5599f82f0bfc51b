/** What the colours mean. The kinds of messages are switches as well. */
import { element } from './details.ts';
import { type Palette, paintState, penFor, stateNames } from './paint.ts';
import { groups } from './run.ts';
import type { Scene } from './scene.ts';

export function makeToggles(room: HTMLElement, scene: Scene, changed: () => void): void {
  const counts = groups.map(() => 0);
  for (const { group } of scene.run.messages) counts[group] = (counts[group] ?? 0) + 1;
  for (const [n, { name }] of groups.entries()) {
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = scene.groupShown[n] === true;
    box.addEventListener('change', () => {
      scene.groupShown[n] = box.checked;
      changed();
    });
    const label = element('label', '');
    const swatch = element('span', '', 'line');
    swatch.style.background = `var(--${name.replaceAll(' ', '-')})`;
    label.title = `${counts[n]} messages arrived`;
    label.append(box, swatch, name);
    room.append(label);
  }
}

export function paintLegend(room: HTMLElement, palette: Palette): void {
  room.replaceChildren();
  for (const state of stateNames) {
    const canvas = document.createElement('canvas');
    canvas.style.width = '24px';
    canvas.style.height = '12px';
    paintState(penFor(canvas, 24, 12), palette, { state, term: 2 }, { x: 0, y: 0, width: 24, height: 12 });
    room.append(entry(canvas, state));
  }
  for (const outcome of ['ok', 'unknown', 'refused']) {
    const swatch = element('span', '', 'bar');
    swatch.style.background = `var(--${outcome})`;
    room.append(entry(swatch, `client: ${outcome}`));
  }
  room.append(entry(element('span', '▼', 'fault'), 'fault'), entry(element('span', '○', 'heal'), 'heal'));
  room.append(entry(element('span', '•', 'note'), 'note'));
}

function entry(swatch: HTMLElement, words: string): HTMLElement {
  const made = element('span', '', 'entry');
  made.append(swatch, words);
  return made;
}
