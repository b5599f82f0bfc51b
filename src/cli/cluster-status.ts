/** `quorate cluster status`: who is there, who leads, how far everyone is. */
import type { CommandModule } from 'yargs';
import { clientSettings, readClientSettings } from '../config.ts';
import { flagsOf, optionsOf } from './command.ts';
import { fetchJson } from './fetch-json.ts';
import { type NodeHealth, renderHealth } from './node-health.ts';
import { type NodeRetention, renderRetention } from './retention-status.ts';
import { formatTable } from './table.ts';

/** The answer of `GET /api/v1/cluster` as far as this command shows it; null is not known to that node. */
interface ClusterStatus extends NodeHealth, NodeRetention {
  readonly mode: string;
  readonly id: string;
  readonly role: string;
  readonly leader: string | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Absent from 0.1.0, and so is the version of a member. */
  readonly formatLevel?: number | null;
  readonly waiting: string | null;
  readonly configurationIndex: number | null;
  readonly joint: boolean;
  readonly members: readonly MemberStatus[];
  readonly applicants: readonly { readonly id: string; readonly peer: string }[];
  readonly lastHandOver?: {
    readonly from: string;
    readonly to: string;
    readonly why: string;
    /** Wall-clock time. */
    readonly atMs: number;
  } | null;
}
interface MemberStatus {
  readonly id: string;
  readonly peer: string;
  readonly http: string | null;
  readonly version?: string | null;
  readonly role: string | null;
  readonly voter: boolean;
  readonly learner: boolean;
  readonly replaces: string | null;
  readonly matchIndex: number | null;
  readonly lagMs: number | null;
  readonly appliedIndex: number | null;
  readonly connected: boolean;
  readonly ready: boolean | null;
  readonly recovering: boolean | null;
}

export const clusterStatus: CommandModule = {
  command: 'status',
  describe: 'Show the members, the leader and how far each is',
  builder: (parser) => parser.options(optionsOf({ url: clientSettings.url })),
  handler: async (argv) => {
    const { url } = readClientSettings(['url'], { flags: flagsOf(argv), environment: process.env });
    const status = (await fetchJson(url, '/api/v1/cluster')) as ClusterStatus;
    const told = await askMembers(status);
    process.stdout.write(`${renderStatus(withMatches(status, told), told)}\n`);
    if (status.leader === null) process.exitCode = 1;
  },
};

/** Each member knows best how it does itself, and only the leader how far the others are. Whoever does not answer is left out. */
async function askMembers(status: ClusterStatus): Promise<Map<string, ClusterStatus>> {
  const others = status.members.filter(({ id, connected, http }) => id !== status.id && connected && http !== null);
  const answers = await Promise.all(
    others.map(async ({ id, http }) => {
      const answer = await fetchJson(http ?? '', '/api/v1/cluster').catch(() => null);
      return answer === null ? [] : [[id, answer as ClusterStatus] as const];
    }),
  );
  return new Map([[status.id, status], ...answers.flat()]);
}

function withMatches(status: ClusterStatus, told: ReadonlyMap<string, ClusterStatus>): ClusterStatus {
  const leader = told.get(status.leader ?? '');
  if (leader === undefined) return status;
  const known = new Map(leader.members.map((member) => [member.id, member]));
  const members = status.members.map((member) => {
    const { matchIndex, lagMs } = known.get(member.id) ?? member;
    return { ...member, matchIndex, lagMs };
  });
  return { ...status, members };
}

function stateOf({ connected, ready, recovering }: MemberStatus): string {
  if (!connected) return 'not connected';
  if (recovering === true) return 'recovering';
  return ready === true ? 'ready' : 'not ready';
}

function voterText({ voter, learner, replaces, matchIndex }: MemberStatus, commit: number): string {
  if (voter) return 'yes';
  if (!learner) return 'no';
  const progress =
    matchIndex === null || commit === 0 ? '' : `, ${Math.min(100, Math.floor((100 * matchIndex) / commit))} %`;
  return `${replaces === null ? 'learner' : `learner for ${replaces}`}${progress}`;
}

/** Of whom it is known: during an upgrade they differ. */
function versionsText(members: readonly MemberStatus[]): string {
  const known = members.flatMap(({ id, version }) => (version == null ? [] : [`${id} ${version}`]));
  return known.length === 0 ? '' : `\n\nversions: ${known.join(', ')}`;
}

function renderStatus(status: ClusterStatus, told: ReadonlyMap<string, ClusterStatus>): string {
  const leader = status.leader === null ? 'no leader' : `leader ${status.leader}`;
  const level = status.formatLevel == null ? '' : `, format level ${status.formatLevel}`;
  const head = `mode ${status.mode}, ${leader}, term ${status.term}, commit ${status.commitIndex}${level}`;
  const view = `as ${status.id} sees it${status.waiting === null ? '' : `; ${status.id} is not ready: ${status.waiting}`}`;
  const rows = status.members.map((member) => [
    member.id,
    member.role ?? '-',
    stateOf(member),
    voterText(member, status.commitIndex),
    member.peer,
    member.appliedIndex === null ? '-' : String(member.appliedIndex),
    member.matchIndex === null ? '-' : String(member.matchIndex),
    member.lagMs === null ? '-' : `${member.lagMs} ms`,
  ]);
  const joint = status.joint ? '; a change of the members is under way' : '';
  const waiting = status.applicants.map(
    ({ id, peer }) => `\n${id} at ${peer} waits to be added: quorate cluster add ${id}`,
  );
  const table = formatTable(['ID', 'ROLE', 'STATE', 'VOTER', 'PEER', 'APPLIED', 'MATCH', 'LAG'], rows);
  const last = status.lastHandOver ?? null;
  const handOver =
    last === null
      ? ''
      : `\n\nlast hand-over: ${last.from} to ${last.to}, ${new Date(last.atMs).toISOString()} (${last.why})`;
  const health = renderHealth(status.members, told);
  const kept = renderRetention(status.id, told);
  const below = `${versionsText(status.members)}${kept}${handOver}${waiting.join('')}`;
  return `${head}, ${view}${joint}\n\n${table}\n\n${health}${below}`;
}
