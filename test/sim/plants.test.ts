/** The simulator is worth what it catches: every planted bug must be found, by the check that is there for it. */
import { describe, expect, test } from 'vitest';
import { replant } from './replant.ts';
import { plantedBugs } from './plants.ts';

describe('planted bugs are caught', { concurrent: true }, () => {
  test.each(plantedBugs)('$id: $name', async (bug) => {
    const { caught, verdict, output } = await replant(bug);
    expect(caught, verdict || output.slice(-2_000)).toBe(true);
  });
});
