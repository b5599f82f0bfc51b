/** A profile of five nodes whose tree and self times can be counted by hand, and the page made of it. */
import { expect, test } from 'vitest';
import { callTree, selfTimes } from '../../bench/cpu-profile.ts';
import type { CpuProfile } from '../../bench/cpu-profile.ts';
import { flamePage } from '../../bench/flame-page.ts';

const node = (id: number, functionName: string, children: number[] = [], url = ''): CpuProfile['nodes'][number] => ({
  id,
  callFrame: { functionName, url, lineNumber: 9 },
  children,
});

const file = 'file:///home/quorate/src/store/block.ts';
/** Node 4 and 5 are one function that V8 compiled twice; samples name the node that ran for the time in front of them. */
const profile: CpuProfile = {
  nodes: [
    node(1, '(root)', [2, 3]),
    node(2, '(idle)'),
    node(3, 'seal', [4, 5], file),
    node(4, '', [], file),
    node(5, '', [], file),
  ],
  samples: [2, 3, 4, 5, 3],
  timeDeltas: [1_000, 10, 20, 40, 5],
};

test('call tree: totals are self times and those of callees, equal callees are one, idle time is nothing', () => {
  const tree = callTree(profile, '/home/quorate');
  expect([tree.totalUs, tree.selfUs]).toEqual([75, 0]);
  const seal = tree.children.get('seal src/store/block.ts:10');
  expect([seal?.totalUs, seal?.selfUs]).toEqual([75, 15]);
  expect([...(seal?.children.values() ?? [])].map(({ name, totalUs }) => [name, totalUs])).toEqual([
    ['(anonymous) src/store/block.ts:10', 60],
  ]);
});

test('self times: the most first, and their sum is all time that was not idle', () => {
  expect(selfTimes(callTree(profile, '/home/quorate'))).toEqual([
    ['(anonymous) src/store/block.ts:10', 60],
    ['seal src/store/block.ts:10', 15],
  ]);
});

test('page: its data is JSON that cannot end the script it stands in, and nothing is loaded from elsewhere', () => {
  const named = callTree({ ...profile, nodes: [node(1, '(root)', [3]), node(3, '</script><b>')] }, '/');
  const page = flamePage(named, 'a title with </script>');
  expect(page.match(/<\/script>/g)).toHaveLength(1);
  expect(page).not.toMatch(/\b(?:src|href)=/);
  const [, json = ''] = /const tree = (.*);/.exec(page) ?? [];
  expect(JSON.parse(json)).toEqual(['all', 15, 0, [['</script><b>', 15, 15, []]]]);
});
