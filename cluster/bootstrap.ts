/**
 * `cluster/bootstrap`: three to five nodes as local processes, one table of addresses, every log line with its node's id.
 * Ctrl-C stops them all; started again on the same data the cluster resumes. A node that dies is reported, the others go on.
 * `QUORATE_*` variables are settings of every node, for example QUORATE_RETENTION=7d, but for those that tell nodes apart.
 */
import { existsSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import yargs from 'yargs';
import { CommandError } from '../src/cli/command.ts';
import { prettyLine } from '../src/cli/log.ts';
import { formatTable } from '../src/cli/table.ts';
import { wantsColour } from '../src/cli/terminal-text.ts';
import { isPortTaken, LocalCluster, portsAt } from './local-cluster.ts';
import type { LocalNode } from './local-node.ts';

const colour = wantsColour(process.stdout);
const pretty = prettyLine(colour);

/** `n1 | line`, each node in a colour of its own. */
function printLine(id: string, line: string): void {
  const hue = 31 + (Number(id.slice(1)) % 6);
  process.stdout.write(`${colour ? `\u001B[${hue}m${id} |\u001B[0m` : `${id} |`} ${pretty(line)}\n`);
}

function reportDeath(node: LocalNode, end: string): void {
  const lines = node.lastLines.slice(-5).map((line) => `  ${pretty(line)}\n`);
  process.stdout.write(`${node.id} stopped by itself (${end}); its last lines:\n${lines.join('')}`);
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new CommandError(`--${name}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}.`);
}

/** What each node has of its own: bootstrap gives it, and the environment does not. */
const ownSettings = ['ID', 'DATA', 'CLUSTER', 'JOIN', 'HTTP', 'GRPC', 'PEER'].map((name) => `QUORATE_${name}`);

/** The settings for every node among our own variables. */
function settingsForAll(): Record<string, string> {
  const given = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[0].startsWith('QUORATE_') && entry[1] !== undefined,
  );
  // What every start says is noise around the table; QUORATE_LOG_LEVEL=info shows it.
  return { QUORATE_LOG_LEVEL: 'warn', ...Object.fromEntries(given.filter(([name]) => !ownSettings.includes(name))) };
}

async function refuseTakenPorts(basePort: number, size: number): Promise<void> {
  for (let index = 0; index < size; index += 1) {
    for (const [purpose, port] of Object.entries<number>({ ...portsAt(basePort, index) })) {
      if (!(await isPortTaken(port))) continue;
      throw new CommandError(
        `Port ${port} (${purpose} of n${index + 1}) is taken: stop what uses it or choose another --base-port.`,
      );
    }
  }
}

/** Members are those a cluster was founded with; this version cannot add or remove any. */
function refuseOtherSize(data: string, size: number): void {
  const found = existsSync(data) ? readdirSync(data).filter((name) => /^n\d+$/.test(name)) : [];
  if (found.length === 0 || found.length === size) return;
  throw new CommandError(
    `${data} holds a cluster of ${found.length}: start it with --nodes ${found.length}, or choose another --data.`,
  );
}

function table(cluster: LocalCluster): string {
  const rows = cluster.nodes.map(({ id, grpc, http, peer, data }) => [
    id,
    `http://${grpc}`,
    `${http}/v1/traces`,
    http,
    peer,
    data,
  ]);
  return formatTable(['ID', 'OTLP/GRPC', 'OTLP/HTTP', 'API', 'PEER', 'DATA'], rows);
}

/** The first Ctrl-C or SIGTERM; the second one ends everything at once. */
function askedToStop(cluster: LocalCluster): Promise<void> {
  return new Promise((resolveAsked) => {
    let asked = false;
    const onSignal = (): void => {
      if (asked) {
        for (const node of cluster.nodes) node.abandon();
        process.exit(1);
      }
      asked = true;
      resolveAsked();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

async function main(): Promise<void> {
  const flags = await yargs(process.argv.slice(2))
    .scriptName('cluster/bootstrap')
    .usage(
      '$0 [options]\n\nRuns a cluster of local processes until Ctrl-C. QUORATE_* variables set what holds for every node, as docs/configuration.md has them.',
    )
    .options({
      nodes: { type: 'string', default: '3', requiresArg: true, description: 'How many nodes, 3 to 5' },
      mode: { choices: ['cp'], default: 'cp', requiresArg: true, description: 'What an acknowledgement means' },
      data: { type: 'string', default: 'data', requiresArg: true, description: 'Node i keeps its data in DIR/n<i>' },
      'base-port': {
        type: 'string',
        default: '4317',
        requiresArg: true,
        description: 'Node i: gRPC at this + 10(i-1), HTTP one above, peers two above',
      },
    } as const)
    .parserConfiguration({ 'camel-case-expansion': false, 'parse-numbers': false, 'duplicate-arguments-array': false })
    .strict()
    .fail(false)
    .parseAsync();
  const size = integer('nodes', flags.nodes, 3, 5);
  const basePort = integer('base-port', flags['base-port'], 1, 65_535 - 10 * size);
  await refuseTakenPorts(basePort, size);
  refuseOtherSize(resolve(flags.data), size);

  let serving = false;
  const cluster = await LocalCluster.prepare({
    data: resolve(flags.data),
    nodes: size,
    basePort,
    onLine: printLine,
    environment: settingsForAll(),
    onDeath: (node, end) => {
      if (!serving) return;
      reportDeath(node, end);
      if (cluster.nodes.every((other) => other.process === null)) {
        process.stderr.write('No node is left: start again on the same data to resume.\n');
        process.exit(1);
      }
    },
  });
  const asked = askedToStop(cluster).then(() => 'asked' as const);
  try {
    const outcome = await Promise.race([cluster.startAll().then(() => 'serving' as const), asked]);
    if (outcome === 'serving') {
      serving = true;
      process.stdout.write(`\n${table(cluster)}\n\nThe cluster serves. Ctrl-C stops it; the data stays.\n\n`);
      await asked;
    }
  } finally {
    await cluster.stop();
  }
  process.stdout.write('All nodes stopped.\n');
  process.exit(0);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
