/** A process of a campaign: gets seeds, tells what came of each. */
import { runSeed } from './campaign.ts';

const nodes = process.env['SIM_NODES'];

// Ctrl-C reaches the whole group: the campaign stops handing out seeds, and the one under way is finished.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
process.on('message', (seed: number) => {
  void runSeed(seed, nodes === undefined || nodes === '' ? undefined : Number(nodes)).then((outcome) =>
    // A campaign that was killed takes nothing more.
    process.send?.(outcome, undefined, undefined, () => undefined),
  );
});
