/** Reads the report of vitest's JSON reporter. A file that could not even be loaded counts as one failure. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed, each with the first line of why. */
  readonly failures: readonly string[];
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[] | undefined;
    }[];
  }[];
}

export function countTests(json: string): TestCounts {
  const report = JSON.parse(json) as Report;
  let passed = 0;
  let skipped = 0;
  const failures: string[] = [];
  for (const file of report.testResults) {
    const failuresBefore = failures.length;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed += 1;
      else if (test.status === 'failed')
        failures.push(`${test.fullName}: ${test.failureMessages?.[0]?.split('\n', 1)[0] ?? 'no reason was given'}`);
      else skipped += 1;
    }
    if (file.status === 'failed' && failures.length === failuresBefore)
      failures.push(`${file.name}: it could not be run`);
  }
  return { passed, failed: failures.length, skipped, failures };
}

/** `12 passed, 0 failed`; skipped tests are named only when there are any. */
export function summaryLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? ` (${skipped} skipped)` : ''}`;
}
