/** Reads the report of vitest's JSON reporter. A file that could not even be loaded counts as one failure. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Report {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export function countTests(json: string): TestCounts {
  const report = JSON.parse(json) as Report;
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const file of report.testResults) {
    const failedBefore = failed;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed += 1;
      else if (test.status === 'failed') failed += 1;
      else skipped += 1;
    }
    if (file.status === 'failed' && failed === failedBefore) failed += 1;
  }
  return { passed, failed, skipped };
}

/** `12 passed, 0 failed`; skipped tests are named only when there are any. */
export function summaryLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? ` (${skipped} skipped)` : ''}`;
}
