/** Events as columns, which is a tenth of what they are as objects: most differ from one before in their times alone. */
import type { SimEvent, TimedEvent } from '../../journal.ts';

export interface PageData {
  readonly seed: number;
  readonly verdict: string | null;
  readonly events: Columns;
}

/** One row an event. Times are whole µs. */
export interface Columns {
  /** Since the event before. */
  readonly after: readonly number[];
  /** How long before its time it was sent or begun; -1: it was not, or nobody knows. */
  readonly lasted: readonly number[];
  /** Which of `shapes` it is. */
  readonly shape: readonly number[];
  /** Events without their times. */
  readonly shapes: readonly SimEvent[];
}

const toUs = (ms: number): number => Math.round(ms * 1_000);

export function pack(events: readonly TimedEvent[]): Columns {
  const after: number[] = [];
  const lasted: number[] = [];
  const shape: number[] = [];
  const known = new Map<string, number>();
  const shapes: SimEvent[] = [];
  let beforeUs = 0;
  for (const { timeMs, ...event } of events) {
    const us = toUs(timeMs);
    after.push(us - beforeUs);
    beforeUs = us;
    const began = event.kind === 'message' ? event.sentMs : event.kind === 'client' ? event.startMs : null;
    lasted.push(began === null ? -1 : us - toUs(began));
    const timeless = withBegin(event, null);
    const key = JSON.stringify(timeless);
    let at = known.get(key);
    if (at === undefined) {
      at = shapes.push(timeless) - 1;
      known.set(key, at);
    }
    shape.push(at);
  }
  return { after, lasted, shape, shapes };
}

export function unpack({ after, lasted, shape, shapes }: Columns): TimedEvent[] {
  const events: TimedEvent[] = [];
  let us = 0;
  for (const [row, gap] of after.entries()) {
    us += gap;
    const event = shapes[shape[row] ?? -1];
    if (event === undefined) throw new Error(`row ${row} has no shape`);
    const backUs = lasted[row] ?? -1;
    events.push({ ...withBegin(event, backUs < 0 ? null : (us - backUs) / 1_000), timeMs: us / 1_000 });
  }
  return events;
}

function withBegin(event: SimEvent, beganMs: number | null): SimEvent {
  if (event.kind === 'message') return { ...event, sentMs: beganMs };
  if (event.kind === 'client') return { ...event, startMs: beganMs ?? 0 };
  return event;
}
