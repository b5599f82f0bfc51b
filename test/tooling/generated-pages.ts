/** The pages of docs/ that are made from tables in the code: `make docs` writes them, a test fails when they are stale. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  clientSettings,
  configFileSetting,
  limitFlag,
  maintenanceSettings,
  nodeSettings,
  recoverSettings,
  transferSettings,
} from '../../src/config.ts';
import { limits, settableLimits } from '../../src/limits.ts';
import { environmentName } from '../../src/settings.ts';
import type { Setting, Settings } from '../../src/settings.ts';
import { plantedBugs } from '../sim/plants.ts';
import { corruptionRows } from '../system/corruption/rows.ts';

const root = join(import.meta.dirname, '../..');
const notice = (source: string): string =>
  `<!-- Made from ${source} by \`make docs\`. Edit that file, not this one. -->`;
const plantedBugsNotice = '<!-- From here on made from test/sim/plants.ts by `make docs`. -->';

/** Path from the root, and text, of every generated page. */
export function generatedPages(): { readonly path: string; readonly text: string }[] {
  return [
    { path: 'docs/configuration.md', text: configurationPage() },
    { path: 'docs/corruption.md', text: corruptionPage() },
    { path: 'docs/limits.md', text: limitsPage(readFileSync(join(root, 'src/limits.ts'), 'utf8')) },
    { path: 'docs/track-record.md', text: trackRecordPage(readFileSync(join(root, 'docs/track-record.md'), 'utf8')) },
  ];
}

function configurationPage(): string {
  return `${notice('src/config.ts')}

# Configuration

A flag wins over the environment, the environment over the config file, the file over the default.
A wrong value names itself and what is allowed; a name that does not exist is refused.

## quorate start

The config file is JSON; its keys are the names of the flags without their dashes:
\`{"id": "n1", "data": "/var/lib/quorate", "cluster": "n1=10.0.0.1:4319,n2=10.0.0.2:4319,n3=10.0.0.3:4319"}\`.

${settingsTable({ ...nodeSettings, config: configFileSetting })}

## quorate trace get

${settingsTable(clientSettings)}

## quorate cluster status, add, replace, remove

${settingsTable({ url: clientSettings.url })}

## quorate cluster transfer

${settingsTable(transferSettings)}

## quorate verify

One of \`--data\` and \`--url\`.

${settingsTable(maintenanceSettings)}

## quorate reindex

${settingsTable({ data: { ...nodeSettings.data, description: maintenanceSettings.data.description } })}

## quorate recover

${settingsTable(recoverSettings)}
`;
}

function corruptionPage(): string {
  const rows = corruptionRows.map(({ part, damage, outcomes, says, mayCrash }) => [
    part,
    damage,
    outcomes.join(', ') + (mayCrash === true ? ', after up to three crashes' : ''),
    says.map(code).join(', '),
  ]);
  return `${notice('test/system/corruption/rows.ts')}

# What a node makes of damaged files

Three nodes under load; one is stopped, its files are damaged, it is started again. \`test/system/corruption.test.ts\` does each row
with real processes, and fails where the node does anything else than stands here. In every row nothing acknowledged is lost,
no ready node answers with anything wrong or smaller, and the other two serve meanwhile.

${markdownTable(['part', 'damage', 'what the node does', 'what it says'], rows)}

- **no trace**: it runs on; what was lost nobody needs, or another copy has it.
- **repaired**: the entries of the log that do not fit are fetched from another node by their hash. The node keeps its vote.
- **recovering**: the log lost its promised end. The node votes by its promise and is brought up by the leader.
- **rebuilt**: the index is made again from the log. The node is not ready until it is.
- **new incarnation**: what the node promised is not known any more. It takes its old place as another replica, a learner first.
- **refuses**: it ends with one sentence that says what to do, and touches nothing. The others go on.

Some damage to a *table* makes LevelDB end the process: its build has assertions, and there is no error to catch. It takes a read
of that very place. Whoever looks after the node starts it again; after three ends within ten minutes that were no stops, it
compares the checksums of all tables before it opens them. A damaged index is then made again; a damaged log is refused in a
sentence that names the table. Until then the node crashes where it reads the place: that much is not turned into a sentence.

To look at damage, stop the node and run \`quorate verify --data DIR\`, *before* it is started again: opening a damaged LevelDB
deletes the evidence. It works on a copy, says what does not fit line by line, and changes nothing. A running node reads its
whole log again in the background (the scrub), one MiB a second, and mends what it meets; \`quorate_scrub_findings_total\` counts.
\`quorate verify --url URL\` compares what the nodes of a running cluster hold.
`;
}

function settingsTable(table: Settings): string {
  const rows = Object.entries(table).map(([name, setting]) => [
    code(`--${name} ${setting.placeholder}`),
    code(environmentName(name)),
    defaultOf(setting),
    setting.description,
  ]);
  return markdownTable(['flag', 'environment', 'default', 'what it does'], rows);
}

function defaultOf(setting: Setting<unknown>): string {
  if (setting.default === undefined) return 'required';
  const derived = /^<(.*)>$/.exec(setting.default)?.[1];
  return derived ?? code(setting.default);
}

/** What src/limits.ts says of each of its entries: a comment holds for every entry up to the next comment or empty line. */
export function limitsPage(source: string): string {
  const rows: string[][] = [];
  let comment = '';
  for (const line of source.slice(source.indexOf('export const limits')).split('\n')) {
    if (line.trim() === '') comment = '';
    comment = /^ {2}\/\*\* (.*) \*\/$/.exec(line)?.[1] ?? comment;
    const name = /^ {2}(\w+): /.exec(line)?.[1];
    if (name === undefined) continue;
    const value = (limits as Readonly<Record<string, number>>)[name];
    if (value === undefined) throw new Error(`src/limits.ts has no ${name}`);
    const isSettable = (settableLimits as readonly string[]).includes(name);
    rows.push([code(name), formatLimit(name, value), isSettable ? code(`--${limitFlag(name)}`) : '', comment]);
  }
  if (rows.length !== Object.keys(limits).length)
    throw new Error('some limits are written in a way this page cannot read');
  return `${notice('src/limits.ts')}

# Limits

Every queue, window, size and depth has its bound here. They are asserted against one another when a node starts.
Where a flag is named, an operator may set the limit ([configuration.md](configuration.md)).
\`/metrics\` counts what they refuse: requests and connections in \`quorate_limits_met_total{limit="..."}\`, spans in
\`quorate_otlp_spans_rejected_total{reason="..."}\`.

${markdownTable(['limit', 'value', 'flag', 'what it bounds'], rows)}
`;
}

/** The page as it is, with its table of planted bugs made anew. */
function trackRecordPage(page: string): string {
  const [before] = page.split(plantedBugsNotice);
  const rows = plantedBugs.map(({ id, name, from, caughtBy, seeds }) => [
    name,
    from,
    caughtBy.join(', '),
    String(seeds),
    code(`make sim PLANT=${id}`),
  ]);
  return `${before}${plantedBugsNotice}

${markdownTable(['bug', 'known as', 'noticed by invariant', 'within seeds', 'see it caught'], rows)}
`;
}

/** \`10485760\` bytes -> \`10 MiB\`; \`5000\` ms -> \`5 s\`. */
function formatLimit(name: string, value: number): string {
  if (name.includes('Bytes')) {
    for (const [unit, size] of [
      ['MiB', 2 ** 20],
      ['KiB', 2 ** 10],
    ] as const) {
      if (value % size === 0) return `${value / size} ${unit}`;
    }
    return `${value} B`;
  }
  if (name.endsWith('Ms')) return value % 1_000 === 0 ? `${value / 1_000} s` : `${value} ms`;
  return String(value);
}

const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, header.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
