/**
 * Three members of etcd as Debian has it, on ports that are free, its data on the disk under test. Its defaults stand: every
 * put is in a majority's WAL, synced, before it is acked. Only the quota is raised, so that a long run does not fill it.
 */
import { spawn, execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reservePorts } from '../cluster/local-cluster.ts';

const quotaBytes = 8 * 1024 ** 3;
const startPatienceMs = 30_000;
const stopPatienceMs = 5_000;
const pollMs = 50;

interface Member {
  readonly id: string;
  /** `HOST:PORT` for clients. */
  readonly client: string;
  readonly peer: string;
  readonly data: string;
}

/** What it calls itself, `etcd Version: 3.4.23`. Throws a sentence when there is none. */
export function etcdVersion(): string {
  try {
    return execFileSync('etcd', ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '';
  } catch {
    throw new Error(
      'etcd is missing: install it (apt-get install etcd-server), or run only parts without it (ONLY=storage,matrix,failover).',
    );
  }
}

export class EtcdCluster {
  readonly directory: string;
  readonly #members: readonly Member[];
  readonly #processes = new Map<string, ChildProcess>();
  readonly #onExit = (): void => {
    for (const child of this.#processes.values()) child.kill('SIGKILL');
  };

  private constructor(directory: string, members: readonly Member[]) {
    this.directory = directory;
    this.#members = members;
    process.on('exit', this.#onExit);
  }

  /** Starts it on an empty `directory`. Resolves when it has a leader; stops what it started when it rejects. */
  static async start(directory: string, size = 3): Promise<EtcdCluster> {
    const { ports, free } = await reservePorts(size);
    mkdirSync(directory, { recursive: true });
    const members = ports.map(({ grpc, peer }, n) => {
      const id = `e${n + 1}`;
      return { id, client: `127.0.0.1:${grpc}`, peer: `127.0.0.1:${peer}`, data: join(directory, id) };
    });
    const cluster = new EtcdCluster(directory, members);
    await free();
    try {
      for (const member of members) cluster.#spawn(member);
      await cluster.#elected();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get servers(): { id: string; pid: number }[] {
    return [...this.#processes].map(([id, { pid = 0 }]) => ({ id, pid }));
  }

  /** `HOST:PORT` where this member takes clients. */
  clientAddress(id: string): string {
    return this.#members.find((member) => member.id === id)?.client ?? '';
  }

  dataDirectory(id: string): string {
    return this.#members.find((member) => member.id === id)?.data ?? '';
  }

  async whoLeads(): Promise<{ term: number; leader: string }> {
    const views = await Promise.all(this.#members.map(async (member) => ({ member, ...(await statusOf(member)) })));
    const newest = views.toSorted((a, b) => b.term - a.term)[0];
    const leader = views.find(({ own }) => own === newest?.leader);
    return { term: newest?.term ?? 0, leader: leader?.member.id ?? '' };
  }

  /** Ends all members and removes their data. */
  async stop(): Promise<void> {
    await Promise.all(
      [...this.#processes.values()].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const patience = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs);
        await ended;
        clearTimeout(patience);
      }),
    );
    this.#processes.clear();
    process.off('exit', this.#onExit);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn({ id, client, peer, data }: Member): void {
    const log = openSync(`${data}.log`, 'a');
    const peers = this.#members.map((member) => `${member.id}=http://${member.peer}`).join(',');
    const flags = {
      name: id,
      'data-dir': data,
      'listen-client-urls': `http://${client}`,
      'advertise-client-urls': `http://${client}`,
      'listen-peer-urls': `http://${peer}`,
      'initial-advertise-peer-urls': `http://${peer}`,
      'initial-cluster': peers,
      'initial-cluster-state': 'new',
      'quota-backend-bytes': String(quotaBytes),
      logger: 'zap',
      'log-level': 'warn',
    };
    const child = spawn(
      'etcd',
      Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
      // A process group of its own: Ctrl-C in a terminal reaches it only through the bench.
      { stdio: ['ignore', log, log], detached: true, env: withoutSettings() },
    );
    child.on('error', () => undefined);
    closeSync(log);
    this.#processes.set(id, child);
  }

  async #elected(): Promise<void> {
    const deadline = performance.now() + startPatienceMs;
    for (;;) {
      const { leader } = await this.whoLeads().catch(() => ({ leader: '' }));
      if (leader !== '') return;
      if (performance.now() > deadline) {
        const said = this.#members.map(({ data }) => readFileSync(`${data}.log`, 'utf8').slice(-500)).join('\n');
        throw new Error(`etcd had no leader after ${startPatienceMs / 1_000} s; its last lines:\n${said}`);
      }
      await delay(pollMs);
    }
  }
}

async function statusOf({ client }: Member): Promise<{ own: string; leader: string; term: number }> {
  const response = await fetch(`http://${client}/v3/maintenance/status`, { method: 'POST', body: '{}' });
  const status = (await response.json()) as { header: { member_id: string }; leader?: string; raftTerm?: string };
  return { own: status.header.member_id, leader: status.leader ?? '', term: Number(status.raftTerm ?? 0) };
}

/** etcd takes ETCD_* for flags; those of the bench's caller are not meant. */
function withoutSettings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_')));
}
