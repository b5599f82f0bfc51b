/** Compares what the nodes of a running cluster hold, at one index: each answers for itself, none sends its data. */
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError } from './command.ts';
import { fetchJson } from './fetch-json.ts';
import { formatTable } from './table.ts';

interface Member {
  readonly id: string;
  readonly http: string | null;
  readonly voter: boolean;
  readonly learner: boolean;
}
interface Digest {
  readonly begins: number;
  readonly logHash: string;
  readonly indexDigest: string;
  readonly references: number;
}
interface Compared {
  readonly id: string;
  readonly digest: Digest | null;
  /** What keeps this node from being equal to the others; null when it is. */
  readonly fault: string | null;
}
type Answer = Member & { readonly digest: Digest | null; readonly fault: string | null };
export interface ClusterVerdict {
  readonly index: number;
  readonly nodes: readonly Compared[];
  readonly sound: boolean;
}

/** A node behind the others, or at work, has this long to answer. */
const defaultPatienceMs = 20_000;
const retryMs = 500;

/** Throws CommandError when the cluster cannot be asked at all. */
export async function compareCluster(url: string, patienceMs = defaultPatienceMs): Promise<ClusterVerdict> {
  const status = (await fetchJson(url, '/api/v1/cluster')) as { appliedIndex: number; members: readonly Member[] };
  const index = status.appliedIndex;
  // Who is only named in --cluster holds nothing.
  const members = status.members.filter(({ voter, learner }) => voter || learner);
  const deadlineMs = performance.now() + patienceMs;
  const askAll = (): Promise<Answer[]> =>
    Promise.all(members.map(async (member) => ({ ...member, ...(await ask(member, { index, deadlineMs })) })));
  let answers = await askAll();
  // A trim reaches one after the other.
  while (beginningsOf(answers) > 1 && performance.now() < deadlineMs) {
    await delay(retryMs);
    answers = await askAll();
  }
  // What most of them say is right; of equals, what the first says.
  const votes = Map.groupBy(
    answers.filter(({ digest }) => digest !== null),
    ({ digest }) => JSON.stringify(digest),
  );
  const [most = []] = [...votes.values()].sort((a, b) => b.length - a.length);
  const model = most[0];
  const nodes = answers.map(({ id, digest, fault }) => ({ id, digest, fault: fault ?? differenceOf(digest, model) }));
  return { index, nodes, sound: nodes.length > 0 && nodes.every(({ fault }) => fault === null) };
}

const beginningsOf = (answers: readonly Answer[]): number =>
  new Set(answers.flatMap(({ digest }) => digest?.begins ?? [])).size;

async function ask(
  { id, http }: Member,
  { index, deadlineMs }: { readonly index: number; readonly deadlineMs: number },
): Promise<{ digest: Digest | null; fault: string | null }> {
  if (http === null) return { digest: null, fault: `${id} could not be compared: nobody knows its HTTP address now` };
  for (;;) {
    try {
      return { digest: (await fetchJson(http, `/api/v1/cluster/digest?index=${index}`)) as Digest, fault: null };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (performance.now() > deadlineMs || error.message.startsWith('Nobody answers'))
        return { digest: null, fault: `${id} could not be compared: ${error.message}` };
    }
    await delay(retryMs);
  }
}

function differenceOf(
  digest: Digest | null,
  model: { readonly id: string; readonly digest: Digest | null } | undefined,
) {
  if (digest === null || model === undefined || model.digest === null) return null;
  const { id } = model;
  if (digest.begins !== model.digest.begins)
    return `it could not be compared: its log begins after entry ${digest.begins}, that of ${id} after ${model.digest.begins}`;
  if (digest.logHash !== model.digest.logHash)
    return `its log differs from that of ${id}: stop it and run \`quorate verify --data\` there`;
  if (digest.indexDigest !== model.digest.indexDigest || digest.references !== model.digest.references)
    return `its index differs from that of ${id}: stop it and run \`quorate reindex\` there`;
  return null;
}

export function renderVerdict({ index, nodes, sound }: ClusterVerdict): string {
  const rows = nodes.map(({ id, digest, fault }) => [
    id,
    digest?.logHash ?? '-',
    digest?.indexDigest ?? '-',
    digest === null ? '-' : String(digest.references),
    fault ?? 'equal',
  ]);
  const head = `${nodes.length} nodes at entry ${index}: ${sound ? 'equal' : 'not equal'}.`;
  return `${head}\n\n${formatTable(['ID', 'LOG', 'INDEX', 'REFERENCES', 'RESULT'], rows)}`;
}
