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
  readonly members: readonly MemberStatus[];
}
interface MemberStatus {
  readonly id: string;
  readonly peer: string;
  readonly http: string | null;
  readonly role: string | null;
  readonly voter: boolean;
  readonly matchIndex: number | null;
  readonly lagMs: number | null;
}

export const clusterStatus: CommandModule = {
  command: 'status',
  describe: 'Show the members, the leader and how far each is',
  builder: (parser) => parser.options(optionsOf({ url: clientSettings.url })),
  handler: async (argv) => {
    const { url } = readClientSettings(['url'], { flags: flagsOf(argv), environment: process.env });
    const status = (await fetchJson(url, '/api/v1/cluster')) as ClusterStatus;
    process.stdout.write(`${renderStatus(status)}\n`);
  },
};

function renderStatus(status: ClusterStatus): string {
  const leader = status.leader === null ? 'no leader' : `leader ${status.leader}`;
  const head = `mode ${status.mode}, ${leader}, term ${status.term}, commit ${status.commitIndex}`;
  const told = `as ${status.id} sees it (${status.role}, applied ${status.appliedIndex})`;
  const rows = status.members.map((member) => [
    member.id,
    member.role ?? '-',
    member.voter ? 'yes' : 'no',
    member.peer,
    member.http ?? '-',
    member.matchIndex === null ? '-' : String(member.matchIndex),
    member.lagMs === null ? '-' : `${member.lagMs} ms`,
  ]);
  return `${head}, ${told}\n\n${formatTable(['ID', 'ROLE', 'VOTER', 'PEER', 'HTTP', 'MATCH', 'LAG'], rows)}`;
}
