/**
 * Where the terms of a log begin, found before Raft starts: it cannot do without. A damaged entry may hide it; then that one is
 * given, to be repaired first, or the log ends below it.
 */
import type { Logger } from '../logger.ts';
import type { BlockLog } from '../store/block-log.ts';
import { DamagedEntryError } from '../store/damaged.ts';
import type { HardState } from '../store/hard-state.ts';
import type { TermRun } from '../store/term-runs.ts';

/** The terms, or the damaged entry that hides where one begins. */
export async function findTerms(log: BlockLog): Promise<readonly TermRun[] | DamagedEntryError> {
  try {
    return await log.termRuns();
  } catch (error) {
    if (error instanceof DamagedEntryError) return error;
    throw error;
  }
}

/**
 * The same; the entry given is one that others have, for the log holds its promise and the commit index covers it. Any other may
 * have been replaced everywhere else, and nobody would ever give it back: the log is cut below it, and recovers from the
 * others by its promise (protocol A2).
 */
export async function findTermsOrCut(
  log: BlockLog,
  { promised, commit }: Pick<HardState, 'promised' | 'commit'>,
  logger: Logger,
): Promise<readonly TermRun[] | DamagedEntryError> {
  for (;;) {
    const terms = await findTerms(log);
    if (!(terms instanceof DamagedEntryError)) return terms;
    if (terms.index <= commit && (await log.holds(promised))) return terms;
    logger.warn({ end: terms.index - 1 }, `the log was cut where a term may begin: ${terms.message}`);
    await log.cutFrom(terms.index);
  }
}
