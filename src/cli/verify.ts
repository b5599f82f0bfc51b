/**
 * `quorate verify`: is what stands on the disk of a stopped node what was written, or do the nodes of a running cluster hold
 * the same? One table; exit code 1 at any finding.
 */
import { fork } from 'node:child_process';
import type { CommandModule } from 'yargs';
import { maintenanceSettings, readVerifySettings } from '../config.ts';
import { copyDirectory } from '../platform/real/directory-copy.ts';
import { checkLevelFiles, levelBytes } from '../platform/real/level-files.ts';
import type { Finding } from '../store/finding.ts';
import type { VerifiedDirectory } from '../traces/verify-directory.ts';
import { flagsOf, optionsOf } from './command.ts';
import { ProgressBar } from './progress-bar.ts';
import { formatTable } from './table.ts';
import { compareCluster, renderVerdict } from './verify-cluster.ts';
import type { WorkerMessage } from './verify-worker.ts';

export const verify: CommandModule = {
  command: 'verify',
  describe: 'Check the data of a node that does not run, or compare the nodes of a cluster',
  builder: (parser) => parser.options(optionsOf(maintenanceSettings)),
  handler: async (argv) => {
    const settings = readVerifySettings({ flags: flagsOf(argv), environment: process.env });
    if ('data' in settings) await verifyData(settings.data, settings.json);
    else await verifyCluster(settings.url, settings.json);
  },
};

async function verifyCluster(url: string, json: boolean): Promise<void> {
  const verdict = await compareCluster(url);
  process.stdout.write(`${json ? JSON.stringify(verdict) : renderVerdict(verdict)}\n`);
  if (!verdict.sound) process.exitCode = 1;
}

async function verifyData(data: string, json: boolean): Promise<void> {
  const bar = new ProgressBar();
  const copy = await copyDirectory(data);
  // Ctrl-C must not leave the copy behind: its links would keep the space of tables that a node drops.
  const interrupted = (): void => void copy.remove().then(() => process.exit(130));
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  let findings: Finding[];
  let verified: VerifiedDirectory | null;
  try {
    findings = await checkFiles(copy.path, bar);
    const contents = await checkContents(copy.path, bar);
    findings.push(
      ...contents.findings.map(({ what, ...rest }) => ({ ...rest, what: what.replaceAll(copy.path, data) })),
    );
    ({ verified } = contents);
  } finally {
    bar.clear();
    await copy.remove();
  }
  if (json) process.stdout.write(`${JSON.stringify({ sound: findings.length === 0, data, ...verified, findings })}\n`);
  else process.stdout.write(`${report(data, findings, verified)}\n`);
  if (findings.length > 0) process.exitCode = 1;
}

/** Every checksum of LevelDB's own, before it opens anything. */
async function checkFiles(path: string, bar: ProgressBar): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const store of ['log', 'index']) {
    const total = await levelBytes(`${path}/${store}`);
    let done = 0;
    const read = (bytes: number): void => bar.show(`files of the ${store}`, (done += bytes), total);
    const faults = await checkLevelFiles(`${path}/${store}`, { read });
    findings.push(...faults.map(({ file, what }): Finding => ({ part: 'files', where: `${store}/${file}`, what })));
  }
  return findings;
}

/** In a process of its own: LevelDB answers some damage by ending it. */
async function checkContents(
  path: string,
  bar: ProgressBar,
): Promise<{ findings: Finding[]; verified: VerifiedDirectory | null }> {
  const findings: Finding[] = [];
  let verified: VerifiedDirectory | null = null;
  let failure: string | null = null;
  const child = fork(new URL('verify-worker.ts', import.meta.url), [path], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.on('message', (message: WorkerMessage) => {
    if (message.kind === 'finding') findings.push(message.finding);
    else if (message.kind === 'progress') bar.show('entries', message.index, message.last);
    else if (message.kind === 'failed') failure = message.sentence;
    else ({ verified } = message);
  });
  const end = await new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  if (failure !== null) throw new Error(failure);
  if (verified === null) {
    const assertion = /Assertion.*failed/.exec(said)?.[0] ?? said.trim().split('\n').at(-1) ?? '';
    const what = `LevelDB ends the process that reads it (${end}: ${assertion}); what it would have met behind that is not checked`;
    findings.push({ part: 'files', where: 'a damaged table', what });
  }
  return { findings, verified };
}

function report(data: string, findings: readonly Finding[], verified: VerifiedDirectory | null): string {
  const extent =
    verified === null
      ? `${data}: not read to its end`
      : verified.entries === 0
        ? `${data}: no entries`
        : `${data}: entries ${verified.firstIndex} to ${verified.lastIndex}, ${verified.blocks} blocks, ` +
          `${verified.bytes} bytes; index up to ${verified.indexedTo}`;
  if (findings.length === 0) return `${extent}: sound.`;
  const rows = findings.map(({ part, where, what }) => [part, where, what]);
  const count = `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`;
  return `${extent}: ${count}.\n\n${formatTable(['PART', 'WHERE', 'WHAT'], rows)}`;
}
