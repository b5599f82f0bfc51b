/** `/api/v1/cluster`: the cluster as this node sees it, what it holds, to be compared with the others, and what operators may change in it. Any node takes it. */
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { isJoint } from '../raft/core/configuration.ts';
import {
  asIndex,
  asNodeId,
  type ConfigurationAt,
  isNodeId,
  type LogIndex,
  type NodeId,
  nodeIdOf,
} from '../raft/core/types.ts';
import type { StatusOptions } from './api-options.ts';

export async function clusterRoutes(
  server: FastifyInstance,
  { store, clock, loopDelay }: StatusOptions,
): Promise<void> {
  server.get('/api/v1/cluster', async () => {
    const { id, clusterId, formatLevel, ready, waiting, replica, members, applicants, ...status } = store.status;
    const { lastHandOver, retention, clockAlarm } = status;
    const { disk, logWrites, queues } = store.health;
    const at = replica?.configuration;
    return {
      mode: 'cp',
      id,
      clusterId,
      /** What every member can read; raised by itself once all run a newer version (protocol B4). */
      formatLevel,
      ready,
      waiting,
      role: replica?.role ?? 'none',
      leader: replica?.leader == null ? null : nodeIdOf(replica.leader),
      term: replica?.term ?? 0,
      commitIndex: replica?.commit ?? 0,
      appliedIndex: replica?.applied ?? 0,
      lastIndex: replica?.last ?? 0,
      /** The index this node promised and lost; it votes by it until it is back (protocol A2). */
      promisedIndex: replica?.lostPromise?.index ?? null,
      /** To be given with a change, so that of two operators at once one is told. */
      configurationIndex: at?.index ?? null,
      /** A change of the members is under way: it needs both majorities until it is through. */
      joint: at !== undefined && isJoint(at.configuration),
      members,
      /** Nodes that wait to be added. */
      applicants,
      /** Of this node alone, like the next three. */
      disk,
      /** Times of synced writes of the log, and of what they waited for, in the last ten seconds; null: none. */
      logWrites,
      queues,
      eventLoopDelayP99Ms: Math.round(10 * loopDelay.recentP99Ms) / 10,
      lastHandOver: lastHandOver && {
        from: lastHandOver.from,
        to: lastHandOver.to,
        why: lastHandOver.why,
        term: lastHandOver.term,
        atMs: Math.round(clock.nowMs() - (clock.monotonicMs() - lastHandOver.atMs)),
      },
      /** What expires by this node's settings, and what has. */
      retention,
      clockAlarm,
    };
  });

  const limit = { bodyLimit: limits.adminBodyBytesMax };
  server.post('/api/v1/cluster/members', limit, async ({ body }) => {
    const { id, replaces = null, configurationIndex = null } = parseNewMember(body);
    return answerOf(await store.changeMembers({ kind: 'add', node: id, replaces, expected: configurationIndex }));
  });
  server.delete<{ Params: { id: string }; Querystring: Record<string, unknown> }>(
    '/api/v1/cluster/members/:id',
    async ({ params, query }) => {
      const node = parseNodeName('id', params.id);
      const { configurationIndex } = query;
      const expected = configurationIndex === undefined ? null : parseIndex(Number(configurationIndex));
      return answerOf(await store.changeMembers({ kind: 'remove', node, replaces: null, expected }));
    },
  );

  server.post('/api/v1/cluster/leader', limit, async ({ body }) => store.transferLeadership(parseSuccessor(body)));

  server.get<{ Querystring: { index?: unknown } }>('/api/v1/cluster/digest', (request) =>
    store.digest(parseEntryIndex(request.query.index)),
  );
}

function parseEntryIndex(text: unknown): LogIndex {
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return asIndex(Number(text));
  throw new QuorateError('bad-request', 'index= is the number of an entry of the log');
}

function answerOf({ index, configuration }: ConfigurationAt): object {
  const { voters, learners } = configuration;
  return {
    configurationIndex: index,
    voters: voters.map(nodeIdOf),
    learners: learners.map(({ replica }) => nodeIdOf(replica)),
  };
}

interface NewMember {
  readonly id: NodeId;
  readonly replaces?: NodeId;
  readonly configurationIndex?: LogIndex;
}

const newMemberShape =
  'the body must be {"id": "ID"}, with "replaces": "ID" and "configurationIndex": NUMBER if wanted';

function parseNewMember(body: unknown): NewMember {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new QuorateError('bad-request', newMemberShape);
  const { id, replaces, configurationIndex, ...others } = body as Record<string, unknown>;
  if (Object.keys(others).length > 0) throw new QuorateError('bad-request', newMemberShape);
  return {
    id: parseNodeName('id', id),
    ...(replaces == null ? {} : { replaces: parseNodeName('replaces', replaces) }),
    ...(configurationIndex == null ? {} : { configurationIndex: parseIndex(configurationIndex) }),
  };
}

function parseNodeName(name: string, value: unknown): NodeId {
  if (typeof value === 'string' && isNodeId(value)) return asNodeId(value);
  throw new QuorateError(
    'bad-request',
    `${name} ${JSON.stringify(value ?? null).slice(0, 64)} is not the id of a node`,
  );
}

function parseIndex(value: unknown): LogIndex {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return asIndex(value);
  throw new QuorateError('bad-request', 'configurationIndex is not an index of `GET /api/v1/cluster`');
}

/** `{"to": "n2"}`; without a name, or without a body, null: whoever is best able to. */
function parseSuccessor(body: unknown): NodeId | null {
  if (body === undefined) return null;
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  const unknown = isObject ? Object.keys(body).find((name) => name !== 'to') : '';
  if (!isObject || unknown !== undefined)
    throw new QuorateError('bad-request', 'the body must be {"to": "ID"}, or {} for any node that can lead');
  if (!('to' in body)) return null;
  if (typeof body.to === 'string') return asNodeId(body.to);
  throw new QuorateError('bad-request', `to ${JSON.stringify(body.to).slice(0, 64)} is not the id of a node`);
}
