/** Operators who change the members while everything else goes wrong, as far as the fault atlas allows. */
import { QuorateError } from '../../../src/errors.ts';
import type { ConfigurationChange } from '../../../src/raft/core/configuration.ts';
import { type Configuration, nodeIdOf, type ReplicaId, replicaIdOf } from '../../../src/raft/core/types.ts';
import type { SimNode } from '../sim-node.ts';
import type { FaultContext } from './context.ts';

/** So long after its deadline may a request still be on its way to a leader. */
const straySeconds = 10;
const fewestVoters = 3;

/** A node that is no member comes in. */
export function addMember(f: FaultContext): void {
  const node = outsider(f);
  if (node !== undefined) ask(f, `add ${node.id}`, node, null, adding(node, null));
}

/** A node that is no member takes the place of a voter. */
export function replaceMember(f: FaultContext): void {
  const node = outsider(f);
  const leaving = f.random.pick(f.voters());
  if (node === undefined || node === leaving) return;
  ask(f, `replace ${leaving.id} by ${node.id}`, node, leaving, adding(node, leaving));
}

export function removeMember(f: FaultContext): void {
  const node = f.random.pick(f.voters());
  if (f.voters().length <= fewestVoters) return;
  ask(f, `remove ${node.id}`, node, null, (configuration) => {
    const replica = voterOf(configuration, node);
    return replica === undefined ? null : { kind: 'remove', replica };
  });
}

function outsider(f: FaultContext): SimNode | undefined {
  const voters = f.voters();
  const outside = f.nodes.filter((node) => !voters.includes(node) && !f.atlas.barred.has(node.id));
  return outside[f.random.below(Math.max(1, outside.length))];
}

const voterOf = (configuration: Configuration, node: SimNode): ReplicaId | undefined =>
  configuration.voters.find((voter) => nodeIdOf(voter) === node.id);

function adding(node: SimNode, leaving: SimNode | null): (configuration: Configuration) => ConfigurationChange | null {
  return (configuration) => {
    const incarnation = node.view.hardState()?.incarnation;
    const replaces = leaving === null ? null : voterOf(configuration, leaving);
    if (incarnation === undefined || replaces === undefined) return null;
    return { kind: 'add', replica: replicaIdOf(node.id, incarnation), replaces, addresses: {} };
  };
}

function ask(
  f: FaultContext,
  what: string,
  node: SimNode,
  replaces: SimNode | null,
  change: (configuration: Configuration) => ConfigurationChange | null,
): void {
  const through = f.random.pick(f.voters()).store;
  if (through?.replicaStatus == null || !f.atlas.mayChange(change)) return;
  f.note(what, node);
  const asked = f.configurations.asking(change);
  const over = (): void => void f.scheduler.after(1_000 * straySeconds, asked.over);
  const kind = what.startsWith('remove') ? 'remove' : 'add';
  through
    .changeMembers({ kind, node: node.id, replaces: replaces?.id ?? null, expected: null })
    .then(over, (error: unknown) => {
      over();
      if (!(error instanceof QuorateError)) f.broken(`A2: ${what} failed: ${String(error)}`);
    });
}
