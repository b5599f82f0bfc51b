/**
 * Checks a data directory that no node runs on: hard state, log, index, and each against the others. Gives what it finds and
 * repairs nothing. It opens stores, which changes them: give it a copy.
 */
import type { Codec } from '../platform/codec.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue } from '../platform/key-value.ts';
import type { Disk } from '../platform/platform.ts';
import { asIndex, type LogIndex, type LogPosition } from '../raft/core/types.ts';
import type { Finding } from '../store/finding.ts';
import { type HardState, hardStateSlots, readHardState } from '../store/hard-state.ts';
import { IndexCheck } from '../store/index-check.ts';
import { LogCheck } from '../store/log-check.ts';

export interface VerifyOptions {
  readonly disk: Disk;
  readonly codec: Codec;
  readonly found: (finding: Finding) => void;
  /** How far it is with the log. */
  readonly progress?: (index: LogIndex, last: LogIndex) => void;
}

/** What was looked at. */
export interface VerifiedDirectory {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly entries: number;
  readonly blocks: number;
  readonly bytes: number;
  /** How far the index goes; the rest is replayed by the next start. */
  readonly indexedTo: LogIndex;
}

const problems = {
  none: null,
  fresh: null,
  'copy damaged': 'one copy of a generation is damaged',
  'generation lost': 'one of its two generations has no intact copy: a write that a power cut tore, or damage',
  unreadable: 'no copy is intact: what this node promised is lost, and it is no voter any more',
} as const;

export async function verifyDirectory(options: VerifyOptions): Promise<VerifiedDirectory> {
  const { codec, found } = options;
  const state = await hardStateOf(options);
  const log = await openStore(options, 'log');
  const index = log === null ? null : await openStore(options, 'index');
  try {
    const logCheck = log === null ? null : await LogCheck.open({ keyValue: log, codec, found });
    if (logCheck === null) {
      if (log !== null && state?.clusterId != null)
        found({ part: 'log', where: 'the base record', what: 'it is missing, and the hard state names a cluster' });
      return { firstIndex: asIndex(0), lastIndex: asIndex(0), entries: 0, blocks: 0, bytes: 0, indexedTo: asIndex(0) };
    }
    const indexCheck = index === null ? null : await IndexCheck.open({ keyValue: index, found });
    return await walk(logCheck, indexCheck, { state, ...options });
  } finally {
    await log?.close();
    await index?.close();
  }
}

async function hardStateOf({ disk, found }: VerifyOptions): Promise<HardState | null> {
  const file = await disk.openSlotFile('hard-state', hardStateSlots);
  try {
    const { newest, problem } = readHardState(await file.read());
    const what = problems[problem];
    if (what !== null) found({ part: 'hard state', where: 'its copies', what });
    return newest?.state ?? null;
  } finally {
    await file.close();
  }
}

async function openStore({ disk, found }: VerifyOptions, name: 'log' | 'index'): Promise<KeyValue | null> {
  try {
    return await disk.openKeyValue(name);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    found({ part: name, where: 'its store', what: `it does not open: ${rootOf(error)}` });
    return null;
  }
}

/** What the store itself said, without the advice for a node that meets it. */
function rootOf(error: Error): string {
  let { message } = error;
  for (let at: unknown = error; at instanceof Error; at = at.cause) ({ message } = at);
  return message;
}

async function walk(
  log: LogCheck,
  index: IndexCheck | null,
  { state, found, progress }: VerifyOptions & { readonly state: HardState | null },
): Promise<VerifiedDirectory> {
  const { base } = log;
  const positions = new Map<LogIndex, LogPosition | null>([[base.position.index, base.position]]);
  const asked = new Set([state?.promised.index, index?.flush.applied]);
  let [entries, blocks, bytes] = [0, 0, 0];
  for await (const { index: at, checked } of log.entries()) {
    const entry = checked?.entry ?? null;
    if (entry !== null) {
      entries += 1;
      blocks += entry.kind === 'block' ? 1 : 0;
      bytes += entry.payload.length;
    }
    if (asked.has(at)) positions.set(at, entry);
    await index?.take(at, entry, checked?.fingerprints ?? null);
    progress?.(at, log.last);
  }
  if (state === null) {
    found({ part: 'hard state', where: 'the file', what: 'nothing is in it, and there is a log' });
  } else checkPromise(state, log, positions, found);
  if (index !== null) checkFlush(index, log, state, positions, found);
  return {
    firstIndex: asIndex(base.position.index + 1),
    lastIndex: log.last,
    entries,
    blocks,
    bytes,
    indexedTo: index?.flush.applied ?? base.position.index,
  };
}

function checkPromise(
  state: HardState,
  log: LogCheck,
  positions: ReadonlyMap<LogIndex, LogPosition | null>,
  found: VerifyOptions['found'],
): void {
  const tell = (where: string, what: string): void => found({ part: 'hard state', where, what });
  const { promised, clusterId, commit } = state;
  if (clusterId !== log.base.clusterId)
    tell('its cluster', `${clusterId ?? 'none'}; the log is of ${log.base.clusterId}`);
  const isBelow = promised.index < log.base.position.index;
  const held = positions.get(promised.index);
  if (promised.index > log.last)
    tell('the promise', `the log ends at entry ${log.last}, and this node promised entries up to ${promised.index}`);
  else if (!isBelow && held === null) tell('the promise', `entry ${promised.index}, which it names, is not whole`);
  else if (!isBelow && (held?.hash !== promised.hash || held.term !== promised.term))
    tell('the promise', `entry ${promised.index} of the log is another one than was promised`);
  if (commit > Math.max(promised.index, log.base.position.index))
    tell('its commit index', `${commit} is behind the promised end ${promised.index}`);
}

function checkFlush(
  { flush }: IndexCheck,
  log: LogCheck,
  state: HardState | null,
  positions: ReadonlyMap<LogIndex, LogPosition | null>,
  found: VerifyOptions['found'],
): void {
  const tell = (what: string): void => found({ part: 'index', where: 'the flush record', what });
  if (flush.clusterId !== log.base.clusterId)
    tell(`it is of cluster ${flush.clusterId}, the log of ${log.base.clusterId}`);
  else if (state !== null && flush.incarnation !== state.incarnation) tell('it is of another data directory');
  const applied = positions.get(flush.applied);
  if (flush.applied > log.last) tell(`it goes up to entry ${flush.applied}, the log ends at ${log.last}`);
  else if (applied != null && applied.hash !== flush.hash)
    tell(`entry ${flush.applied} of the log is another one than the index was made from`);
}
