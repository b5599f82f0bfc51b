/** The corpus and a fixed stretch of random inputs, at every test run: no finding, and every known difference is met. */
import { describe, expect, test } from 'vitest';
import { Campaign } from './campaign.ts';
import { corpusOf } from './corpus.ts';
import type { Target } from './target.ts';
import { framesTarget } from './targets/frames.ts';
import { jsonTarget } from './targets/json.ts';
import { mergeTarget } from './targets/merge.ts';
import { knownDifferences, wireTarget } from './targets/wire.ts';

const targets: readonly Target[] = [wireTarget, jsonTarget, mergeTarget, framesTarget];
const generatedInputs = 20_000;

function campaignOf(target: Target, corpus: readonly Uint8Array[]): Campaign {
  return new Campaign(target, { seed: 1, corpus, kindsMax: 1 });
}

describe.each(targets)('$name', (target) => {
  const files = corpusOf(target.name);

  test.each(files)('$name', ({ input }) => {
    // Also what belongs to another target must not do worse than be refused.
    for (const each of targets) {
      const campaign = campaignOf(each, []);
      campaign.judge(input);
      expect(campaign.findings, each.name).toEqual([]);
    }
  });

  test('generated and changed inputs', { timeout: 120_000 }, () => {
    const campaign = campaignOf(
      target,
      files.map(({ input }) => input),
    );
    campaign.run(generatedInputs);
    expect(campaign.findings).toEqual([]);
    expect(campaign.outcomes.get('accepted')).toBeGreaterThan(generatedInputs / 10);
    expect(campaign.outcomes.get('refused')).toBeGreaterThan(generatedInputs / 10);
  });

  test('one seed is one run', () => {
    const run = (): unknown => {
      const campaign = campaignOf(target, []);
      campaign.run(500);
      return [campaign.poolSize, [...campaign.outcomes]];
    };
    expect(run()).toEqual(run());
  });
});

test('a file of the corpus shows each known difference', () => {
  const campaign = campaignOf(wireTarget, []);
  for (const { input } of corpusOf('wire')) campaign.judge(input);
  expect([...campaign.outcomes.keys()].sort()).toEqual(['accepted', 'refused', ...knownDifferences].sort());
});
