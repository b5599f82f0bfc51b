/**
 * `quorate recover`: what is left of a cluster that lost its quorum, in one table, and with --yes a cluster of one node made of
 * the longest log. It looks at copies; refuses while anything answers where a voter listened; docs/recover.md is the runbook.
 */
import type { CommandModule } from 'yargs';
import { readRecoverSettings, type RecoverSettings, recoverSettings } from '../config.ts';
import { addressIn, formatAddress } from '../platform/pipe.ts';
import { copyDirectory } from '../platform/real/directory-copy.ts';
import { RealPipeNetwork } from '../platform/real/pipe.ts';
import { openRealPlatform } from '../platform/real/platform.ts';
import { asNodeId, type LogPosition, nodeIdOf } from '../raft/core/types.ts';
import { recoverDirectory } from '../traces/recover-directory.ts';
import { planRecovery, type RecoveryPlan } from '../traces/recovery-plan.ts';
import { readRecoverySource, type RecoverySource } from '../traces/recovery-source.ts';
import { CommandError, flagsOf, optionsOf } from './command.ts';
import { formatTable } from './table.ts';

/** A voter that does not answer by then is taken for gone: the operator knows better, and is asked to. */
const answerMs = 3_000;

export const recover: CommandModule = {
  command: 'recover',
  describe: 'Make one node of a cluster that lost its quorum a cluster of its own',
  builder: (parser) => parser.options(optionsOf(recoverSettings)),
  handler: async (argv) => {
    // The last of several would win, and the others be left out without a word.
    if (process.argv.filter((word) => /^--data(=|$)/.test(word)).length > 1)
      throw new CommandError('--data is given more than once: give all directories to one, with commas between them.');
    const settings = readRecoverSettings({ flags: flagsOf(argv), environment: process.env });
    const sources: RecoverySource[] = [];
    for (const directory of settings.directories) sources.push(await readCopy(directory));
    const plan = planRecovery(sources, {
      keep: settings.keep === null ? null : asNodeId(settings.keep),
      acceptLoss: settings.acceptLoss,
    });
    process.stdout.write(`${report(sources, plan)}\n\n`);
    if (plan.refusal !== null) throw new CommandError(`Nothing was changed: ${plan.refusal}.`);
    if (plan.chosen.unfinished === null) await assertNobodyAnswers(plan, settings);
    if (settings.yes) await carryOut(plan.chosen);
    else process.stdout.write(`Nothing was changed. To go on:\n\n  ${commandOf(settings)} --yes\n`);
  },
};

/** A copy, because to open a damaged log is to change it. A directory in use is refused. */
async function readCopy(directory: string): Promise<RecoverySource> {
  const copy = await copyDirectory(directory);
  // Ctrl-C must not leave the copy behind: its links would keep the space of tables that a node drops.
  const interrupted = (): void => void copy.remove().then(() => process.exit(130));
  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
  try {
    const { disk } = await openRealPlatform({ dataDir: copy.path });
    return await readRecoverySource(disk, directory);
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    await copy.remove();
  }
}

const positionText = ({ term, index }: LogPosition): string => `${term}/${index}`;
const nameOf = ({ replica }: RecoverySource): string => (replica === null ? '?' : nodeIdOf(replica));

function report(sources: readonly RecoverySource[], { chosen, longest, voters, losses }: RecoveryPlan): string {
  const rows = sources.map((source) => {
    const { state, end, endTimeMs, holdsPromise, where } = source;
    const missing = state === null ? 'its hard state' : holdsPromise ? '-' : `up to ${positionText(state.promised)}`;
    return [
      nameOf(source),
      state?.incarnation.slice(0, 8) ?? '?',
      String(state?.term ?? '?'),
      state === null ? '?' : positionText(state.promised),
      positionText(end),
      new Date(endTimeMs).toISOString(),
      String(state?.commit ?? '?'),
      missing,
      where,
    ];
  });
  const header = ['NODE', 'INCARNATION', 'TERM', 'PROMISED', 'LOG END', 'WRITTEN AT', 'COMMIT', 'MISSING', 'DIRECTORY'];
  const given = new Set(sources.map(({ replica }) => replica));
  const members = voters.map((voter) => `${nodeIdOf(voter)}${given.has(voter) ? '' : ' (not given)'}`);
  const lines = [
    `cluster ${chosen.clusterId}; PROMISED and LOG END are term/index`,
    '',
    formatTable(header, rows),
    '',
    `voters: ${members.join(', ')}`,
    `longest log: ${nameOf(longest)}, ${positionText(longest.end)}${chosen === longest ? '' : `; kept: ${nameOf(chosen)}`}`,
    ...losses.map((loss) => `may be lost: ${loss}`),
    ...(chosen.unfinished === null ? [] : [`${nameOf(chosen)}: a recovery was cut short here, and goes on`]),
  ];
  return lines.join('\n');
}

/** Also where a directory is given: it may be a copy. Whoever accepts a connection counts as there: it may be a node that is paused. */
async function assertNobodyAnswers(plan: RecoveryPlan, { cluster }: RecoverSettings): Promise<void> {
  const nodes = [...new Set(plan.voters.map(nodeIdOf))];
  const addresses = nodes.map((node) => {
    const address = cluster.get(node) ?? addressIn(plan.addresses[node] ?? '');
    if (address == null)
      throw new CommandError(
        `Nothing was changed: the log does not say where ${node} listens: give --cluster ID=HOST:PORT,... with all of ` +
          `${nodes.join(', ')}, as \`quorate start\` had it, so that it can be seen that none of them answers.`,
      );
    return { node, address };
  });
  const network = new RealPipeNetwork();
  await Promise.all(
    addresses.map(async ({ node, address }) => {
      const pipe = await network.connect(address, { timeoutMs: answerMs }).catch(() => null);
      if (pipe === null) return;
      pipe.close();
      throw new CommandError(
        `Nothing was changed: ${node} answers at ${formatAddress(address)}: stop it, and give its directory to --data, too, if it has one.`,
      );
    }),
  );
}

async function carryOut(chosen: RecoverySource): Promise<void> {
  const platform = await openRealPlatform({ dataDir: chosen.where });
  const { clusterId, replica, kept } = await recoverDirectory(platform, chosen);
  const node = nodeIdOf(replica);
  process.stdout.write(
    `${node} is the only voter of cluster ${clusterId} now, with all entries up to ${kept.index}. Start it, then add others with empty directories:\n\n` +
      `  quorate start --id ${node} --data ${chosen.where} --cluster ${node}=HOST:PORT ...\n` +
      `  quorate start --id ID --data EMPTY --join HOST:PORT --peer ...\n` +
      `  quorate cluster add ID\n`,
  );
}

function commandOf({ directories, keep, cluster, acceptLoss }: RecoverSettings): string {
  const members = [...cluster].map(([id, address]) => `${id}=${formatAddress(address)}`).join(',');
  return [
    `quorate recover --data ${directories.join(',')}`,
    ...(members === '' ? [] : [`--cluster ${members}`]),
    ...(keep === null ? [] : [`--keep ${keep}`]),
    ...(acceptLoss ? ['--accept-loss'] : []),
  ].join(' ');
}
