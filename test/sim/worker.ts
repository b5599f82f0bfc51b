/** A process of a campaign: gets seeds, tells what came of each. */
import { runSeed } from './campaign.ts';

const nodes = process.env['SIM_NODES'];

process.on('message', (seed: number) => {
  void runSeed(seed, nodes === undefined || nodes === '' ? undefined : Number(nodes)).then((outcome) =>
    process.send?.(outcome),
  );
});
