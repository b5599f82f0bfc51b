/**
 * Runs the vitest projects named on the command line, names what failed, and ends with one plain line, `N passed, N failed`,
 * counted from the runner's own report. Exit code 0 only when something ran and nothing failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { countTests, summaryLine } from './test-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'quorate-tests-'));
const reportFile = join(folder, 'report.json');
try {
  const projects = process.argv.slice(2).flatMap((name) => ['--project', name]);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  const run = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...projects, ...reporters], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const counts = countTests(readFileSync(reportFile, 'utf8'));
  for (const failure of counts.failures) console.log(`failed: ${failure}`);
  console.log(`\n${summaryLine(counts)}`);
  process.exitCode = run.status === 0 && counts.passed > 0 && counts.failed === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
