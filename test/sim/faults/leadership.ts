/** Operators who ask for another leader, of any node, whatever else is going on. */
import { errorOf, QuorateError } from '../../../src/errors.ts';
import { limits } from '../../../src/limits.ts';
import { anyNode, type FaultContext } from './context.ts';

/** The deadline, by a clock that runs a tenth too slow, and a little. */
const patienceMs = limits.transferDeadlineMs * 1.1 + 1_000;

export function transferLead(f: FaultContext): void {
  const asked = anyNode(f);
  const to = f.random.chance(0.3) ? null : anyNode(f).id;
  const { boot } = asked;
  if (boot?.store == null) return;
  const { store, process } = boot;
  const startMs = f.scheduler.nowMs;
  f.note(`asked to make ${to ?? 'another one'} the leader`, asked);
  const cancel = f.scheduler.after(patienceMs, () => {
    if (process.ranSince(startMs))
      f.broken(`L2: ${asked.id} ran all the time, was asked for another leader and did not answer`);
  });
  store.transferLeadership(to).then(
    ({ leader, term }) => {
      if (!process.alive) return;
      cancel();
      f.note(`${leader} leads term ${term}`);
    },
    (error: unknown) => {
      if (!process.alive) return;
      cancel();
      if (!(error instanceof QuorateError))
        f.broken(`A2: ${asked.id} was asked for another leader: ${errorOf(error).stack}`);
    },
  );
}
