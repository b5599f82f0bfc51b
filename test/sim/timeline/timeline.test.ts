/** The picture of a run has all of it, and nothing that is not its own. */
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import { asNodeId } from '../../../src/raft/core/types.ts';
import type { TimedEvent } from '../journal.ts';
import { simulate, SimulationFailure } from '../simulation.ts';
import { type PageData, unpack } from './page/columns.ts';
import { groups, runOf } from './page/run.ts';
import { Scene } from './page/scene.ts';
import { View } from './page/view.ts';
import { drawTimeline } from './timeline.ts';

const short = { seed: 3, faultMs: 3_000, keepEvents: true };

/** As a browser reads it: a script ends at the first `</script`, whatever stands around it. */
function scriptsOf(page: string): { data: PageData; code: string } {
  const [data, code, ...more] = [...page.matchAll(/<script[^>]*>(.*?)<\/script/gis)].map(([, text]) => text ?? '');
  expect(more).toEqual([]);
  return { data: JSON.parse(data ?? '') as PageData, code: code ?? '' };
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** In whole µs, as the page has them. */
function inUs(event: TimedEvent): TimedEvent {
  const timeMs = rounded(event.timeMs);
  if (event.kind === 'message')
    return { ...event, timeMs, sentMs: event.sentMs === null ? null : rounded(event.sentMs) };
  if (event.kind === 'client') return { ...event, timeMs, startMs: rounded(event.startMs) };
  return { ...event, timeMs };
}

const note = (text: string, timeMs = 1): TimedEvent => ({ kind: 'note', text, timeMs });

test('every event of a run is in the page, in order', async () => {
  const { events } = await simulate(short);
  expect(new Set(events.map(({ kind }) => kind))).toContain('client');
  const { data } = scriptsOf(drawTimeline({ seed: 3, events }));
  expect(data).toMatchObject({ seed: 3, verdict: null });
  expect(unpack(data.events)).toEqual(events.map((event) => inUs(event)));
});

test('a failed run says what broke, up to the event where it did', async () => {
  let failure: unknown;
  // The trace is called from inside: whatever it throws ends the run as a bug would.
  const trace = (line: string): void => {
    if (line.includes(' leader in term')) throw new Error('no leader is wanted');
  };
  await simulate({ ...short, trace }).catch((error: unknown) => (failure = error));
  if (!(failure instanceof SimulationFailure)) throw new Error('it did not fail');
  const { events, verdict } = failure;
  const { data } = scriptsOf(drawTimeline({ seed: 3, events, verdict }));
  expect(data.verdict).toContain('no leader is wanted');
  expect(unpack(data.events)).toEqual(events.map((event) => inUs(event)));
  expect(unpack(data.events).findLast(({ kind }) => kind === 'state')).toMatchObject({ state: 'leader' });
});

test('text cannot break out of the page', () => {
  const hostile = ['</script><script>alert(1)</script>', '<!--', '<!-- script -->', '$& $1', '\u2028 "\\'];
  const verdict = hostile.join(' ');
  const { data } = scriptsOf(drawTimeline({ seed: 1, events: hostile.map((text) => note(text)), verdict }));
  expect(data.verdict).toBe(verdict);
  expect(unpack(data.events)).toEqual(hostile.map((text) => note(text)));
});

test('the page needs nothing but itself, and its scripts are one that parses', () => {
  const page = drawTimeline({ seed: 1, events: [] });
  expect(page).not.toMatch(/\b(?:src|srcset|action)=|https?:|@import|url\(|\bfetch\(|\bimport\b/);
  expect([...page.matchAll(/href="([^"]*)"/g)].map(([, to]) => to)).toEqual(['data:,']);
  expect(page).not.toMatch(/<!-- \w+ -->/);
  expect(() => new Script(`'use strict';{${scriptsOf(page).code}}`)).not.toThrow();
});

test('what is known of a run is sorted into lanes', () => {
  const [n1, n2] = [asNodeId('n1'), asNodeId('n2')];
  const events: TimedEvent[] = [
    { kind: 'state', node: n2, state: 'down', term: 0, timeMs: 0 },
    { kind: 'state', node: n1, state: 'leader', term: 2, timeMs: 1 },
    { kind: 'fault', what: '#1 isolate', nodes: [n2], timeMs: 2 },
    { kind: 'fault', what: '#2 heal', nodes: [], timeMs: 3 },
    { kind: 'message', from: n1, to: n2, name: 'append-reply', sentMs: 1.5, timeMs: 4 },
    { kind: 'fault', what: '#1 heal', nodes: [], timeMs: 5 },
    note('stopped n2: its disk is full', 6),
  ];
  const run = runOf(events);
  expect(run.nodes).toEqual(['n1', 'n2']);
  expect(run.spans[0]).toEqual([{ event: 1, fromMs: 1, toMs: 6, state: 'leader', term: 2 }]);
  expect(run.marks.map(({ sort, lanes, healedMs }) => ({ sort, lanes, healedMs }))).toEqual([
    { sort: 'fault', lanes: [1], healedMs: 3 },
    { sort: 'heal', lanes: [], healedMs: null },
    { sort: 'heal', lanes: [], healedMs: null },
    { sort: 'note', lanes: [1], healedMs: null },
  ]);
  expect(groups[run.messages[0]?.group ?? -1]?.name).toBe('append replies');
  expect(run.longestFlightMs).toBe(2.5);
});

test('a search shows what it finds, hidden kinds as well', () => {
  const [n1, n2] = [asNodeId('n1'), asNodeId('n2')];
  const message = { kind: 'message', from: n1, to: n2, sentMs: null } as const;
  const run = runOf([
    { ...message, name: 'heartbeat', timeMs: 1 },
    { ...message, name: 'vote', timeMs: 2 },
  ]);
  const scene = new Scene(run, new View(2, () => undefined), null);
  expect(scene.isShown(0)).toBe(false);
  expect(scene.search('N2 heart')).toBe(1);
  expect(scene.isShown(0)).toBe(true);
  expect(scene.step(1, -1)).toBe(0);
  expect(scene.step(1, 0)).toBe(null);
});

test('the address opens a part of the run, and names it', () => {
  const view = new View(60_000, () => undefined);
  expect(view.goTo('#t=12.5,14')).toBe(true);
  expect([view.fromMs, view.toMs]).toEqual([12_500, 14_000]);
  expect(view.fragment).toBe('#t=12.5,14');
  for (const nothing of ['', '#t=2,1', '#t=a,b', '#t=1']) expect(view.goTo(nothing)).toBe(false);
  view.pan(1e9);
  expect(view.toMs).toBe(view.wholeToMs);
  expect(view.lengthMs).toBe(1_500);
});
