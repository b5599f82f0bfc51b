/** Beside the lanes: the chosen event, what the nodes were at that moment, and the events around it. */
import { textOf } from '../../event-text.ts';
import type { TimedEvent } from '../../journal.ts';
import { spanAt } from './run.ts';
import type { Scene } from './scene.ts';

const listedEachWay = 14;

export class Details {
  readonly #room: HTMLElement;
  readonly #scene: Scene;
  readonly #choose: (event: number) => void;

  constructor(room: HTMLElement, scene: Scene, choose: (event: number) => void) {
    this.#room = room;
    this.#scene = scene;
    this.#choose = choose;
  }

  paint(): void {
    const { selected, run } = this.#scene;
    const event = selected === null ? undefined : run.events[selected];
    if (selected === null || event === undefined) {
      this.#room.replaceChildren(
        element('p', 'Click a message, a fault, a bar or a band. ↑ and ↓ then go from event to event.', 'hint'),
      );
      return;
    }
    const facts = document.createElement('dl');
    for (const [name, value] of factsOf(event)) facts.append(element('dt', name), element('dd', value));
    this.#room.replaceChildren(
      element('h2', textOf(event)),
      facts,
      element('h3', 'At this moment'),
      this.#states(event.timeMs),
      element('h3', 'Around it'),
      this.#list(selected),
    );
  }

  #states(ms: number): HTMLElement {
    const list = document.createElement('dl');
    for (const [n, node] of this.#scene.run.nodes.entries()) {
      const span = spanAt(this.#scene.run, n, ms);
      const words = span === undefined ? 'not yet' : span.term === 0 ? span.state : `${span.state}, term ${span.term}`;
      list.append(element('dt', node), element('dd', words));
    }
    return list;
  }

  #list(selected: number): HTMLElement {
    const before: number[] = [];
    const after: number[] = [];
    for (let at = this.#scene.step(-1, selected); at !== null && before.length < listedEachWay;) {
      before.unshift(at);
      at = this.#scene.step(-1, at);
    }
    for (let at = this.#scene.step(1, selected); at !== null && after.length < listedEachWay;) {
      after.push(at);
      at = this.#scene.step(1, at);
    }
    const list = document.createElement('ol');
    for (const at of [...before, selected, ...after]) list.append(this.#item(at, at === selected));
    return list;
  }

  #item(at: number, current: boolean): HTMLElement {
    const event = this.#scene.run.events[at];
    const item = document.createElement('li');
    if (event === undefined) return item;
    const button = document.createElement('button');
    button.append(element('time', clock(event.timeMs)), ` ${textOf(event)}`);
    button.className = event.kind;
    if (current) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => this.#choose(at));
    item.append(button);
    return item;
  }
}

function factsOf(event: TimedEvent): [name: string, value: string][] {
  const at: [string, string] = ['at', clock(event.timeMs)];
  switch (event.kind) {
    case 'message':
      return event.sentMs === null
        ? [
            ['arrived', at[1]],
            ['sent', 'not known'],
          ]
        : [
            ['sent', clock(event.sentMs)],
            ['arrived', at[1]],
            ['under way', length(event.timeMs - event.sentMs)],
          ];
    case 'client':
      return [
        ['begun', clock(event.startMs)],
        ['ended', at[1]],
        ['took', length(event.timeMs - event.startMs)],
      ];
    case 'fault':
      return [at, ['nodes', event.nodes.join(' ') || 'all, or none in particular']];
    case 'state':
    case 'note':
      break;
  }
  return [at];
}

const clock = (ms: number): string => `${(ms / 1_000).toFixed(6)} s`;
const length = (ms: number): string => `${ms.toFixed(3)} ms`;

/** One line for the pointer. */
export function hintOf(event: TimedEvent): string {
  const [first, ...rest] = factsOf(event).map(([name, value]) => `${name} ${value}`);
  return `${textOf(event)} · ${[first, ...rest].join(' · ')}`;
}

export function element(tag: string, text: string, className = ''): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}
