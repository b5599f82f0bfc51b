/** What retention by age excuses, and what it does not. */
import { expect, test } from 'vitest';
import { giveBackExpired } from '../support/expiry.ts';
import { checkHistory, HistoryRecorder } from '../support/history.ts';

const ageMs = 10_000;

/** `old` is sent at 0 s and `young` at 5 s; read at 12 s. */
function verdict(elements: readonly string[], expired: boolean): ReturnType<typeof checkHistory> {
  let nowMs = 0;
  const recorder = new HistoryRecorder(() => nowMs);
  for (const [element, sentMs] of [
    ['old', 0],
    ['young', 5_000],
  ] as const) {
    nowMs = sentMs;
    recorder.add('writer', 't', element).settle('ok');
  }
  nowMs = 12_000;
  recorder.read('reader', 't', 'linearizable').returned(elements, expired);
  return checkHistory(giveBackExpired(recorder.history(), ageMs));
}

test('an answer that says so may lack what is too old', () => {
  expect(verdict(['young'], true)).toMatchObject({ ok: true });
  expect(verdict(['old', 'young'], true)).toMatchObject({ ok: true });
});

test('an answer that says nothing may lack nothing, and none may lack what is young', () => {
  expect(verdict(['young'], false)).toMatchObject({ ok: false, fault: 'lost ack' });
  expect(verdict(['old'], true)).toMatchObject({ ok: false, fault: 'lost ack' });
  expect(verdict([], false)).toMatchObject({ ok: false, fault: 'lost ack' });
});

test('a trace of which all is too old may be unknown', () => {
  let nowMs = 0;
  const recorder = new HistoryRecorder(() => nowMs);
  recorder.add('writer', 't', 'old').settle('ok');
  nowMs = ageMs + 1;
  recorder.read('reader', 't', 'linearizable').returned([]);
  expect(checkHistory(giveBackExpired(recorder.history(), ageMs))).toMatchObject({ ok: true });
});

test('of a span that was sent twice the export that was acknowledged last counts', () => {
  let nowMs = 0;
  const recorder = new HistoryRecorder(() => nowMs);
  recorder.add('writer', 't', 'twice').settle('unknown');
  nowMs = 5_000;
  recorder.add('writer', 't', 'twice').settle('ok');
  nowMs = 12_000;
  recorder.read('reader', 't', 'linearizable').returned([], true);
  expect(checkHistory(giveBackExpired(recorder.history(), ageMs))).toMatchObject({ ok: false, fault: 'lost ack' });
});
