/** The process that an `Examiner` starts. */
import { openLevel } from '../../../src/platform/real/key-value.ts';
import { ask } from './ask.ts';
import type { Question } from './examiner.ts';
import { openLog } from './log-outcome.ts';

process.on('message', ({ path, options, ask: about }: Question) => {
  const open = () => openLevel(path, options);
  const answer = about.of === 'log' ? openLog(open, about.verifyBytes) : ask(open, about.keys);
  answer.then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.(error instanceof Error ? error : new Error(String(error))),
  );
});
