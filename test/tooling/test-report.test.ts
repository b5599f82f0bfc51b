import { expect, it } from 'vitest';
import { countTests, summaryLine } from './test-report.ts';

const file = (status: string, ...tests: string[]): unknown => ({
  status,
  assertionResults: tests.map((test) => ({ status: test })),
});
const count = (...testResults: unknown[]): string => summaryLine(countTests(JSON.stringify({ testResults })));

it('counts tests over files', () => {
  expect(count(file('passed', 'passed', 'passed'), file('failed', 'failed', 'passed'))).toBe('3 passed, 1 failed');
});

it('counts a file that could not be loaded as one failure', () => {
  expect(count(file('passed', 'passed'), file('failed'))).toBe('1 passed, 1 failed');
});

it('counts a file whose hook failed after its tests as one failure', () => {
  expect(count(file('failed', 'passed', 'passed'))).toBe('2 passed, 1 failed');
});

it('does not hide skipped tests', () => {
  expect(count(file('passed', 'passed', 'skipped', 'todo'))).toBe('1 passed, 0 failed (2 skipped)');
});

it('names what failed and the first line of why', () => {
  const assertionResults = [
    { status: 'failed', fullName: 'a log keeps what it has', failureMessages: ['gone\n  at a.ts'] },
  ];
  const testResults = [
    { name: 'a.test.ts', status: 'failed', assertionResults },
    { name: 'b.test.ts', status: 'failed', assertionResults: [] },
  ];
  const { failures } = countTests(JSON.stringify({ testResults }));
  expect(failures).toEqual(['a log keeps what it has: gone', 'b.test.ts: it could not be run']);
});
