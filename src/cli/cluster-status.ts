/** `quorate cluster status`: who is there, who leads, how far everyone is. */
import type { CommandModule } from 'yargs';
import { clientSettings, readClientSettings } from '../config.ts';
import { flagsOf, optionsOf } from './command.ts';
import { fetchJson } from './fetch-json.ts';
import { formatTable } from './table.ts';

/** The answer of `GET /api/v1/cluster` as far as this command shows it; null is not known to that node. */
interface ClusterStatus {
  readonly mode: string;
  readonly id: string;
  readonly role: string;
  readonly leader: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Absent from 0.1.0, and so is the version of a member. */
  readonly formatLevel?: number | null;
  readonly waiting: string | null;
  readonly configurationIndex: number | null;
  readonly joint: boolean;
  readonly members: readonly MemberStatus[];
  readonly applicants: readonly { readonly id: string; readonly peer: string }[];
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
    process.stdout.write(`${renderStatus(await withMatches(status))}\n`);
    if (status.leader === null) process.exitCode = 1;
  },
};

/** Only the leader knows how far the others are: it is asked, if it can be. */
async function withMatches(status: ClusterStatus): Promise<ClusterStatus> {
  const leader = status.members.find(({ id }) => id === status.leader);
  if (leader?.http == null || leader.id === status.id) return status;
  const asked = await fetchJson(leader.http, '/api/v1/cluster').catch(() => null);
  const known = new Map((asked as ClusterStatus | null)?.members.map((member) => [member.id, member]));
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

function voterText({ voter, learner, replaces }: MemberStatus): string {
  if (voter) return 'yes';
  if (!learner) return 'no';
  return replaces === null ? 'learner' : `learner for ${replaces}`;
}

function renderStatus(status: ClusterStatus): string {
  const leader = status.leader === null ? 'no leader' : `leader ${status.leader}`;
  const level = status.formatLevel == null ? '' : `, format level ${status.formatLevel}`;
  const head = `mode ${status.mode}, ${leader}, term ${status.term}, commit ${status.commitIndex}${level}`;
  const told = `as ${status.id} sees it${status.waiting === null ? '' : `; ${status.id} is not ready: ${status.waiting}`}`;
  const rows = status.members.map((member) => [
    member.id,
    member.role ?? '-',
    stateOf(member),
    voterText(member),
    member.peer,
    member.http ?? '-',
    member.version ?? '-',
    member.appliedIndex === null ? '-' : String(member.appliedIndex),
    member.matchIndex === null ? '-' : String(member.matchIndex),
    member.lagMs === null ? '-' : `${member.lagMs} ms`,
  ]);
  const joint = status.joint ? '; a change of the members is under way' : '';
  const waiting = status.applicants.map(
    ({ id, peer }) => `\n${id} at ${peer} waits to be added: quorate cluster add ${id}`,
  );
  return `${head}, ${told}${joint}\n\n${formatTable(['ID', 'ROLE', 'STATE', 'VOTER', 'PEER', 'HTTP', 'VERSION', 'APPLIED', 'MATCH', 'LAG'], rows)}${waiting.join('')}`;
}
