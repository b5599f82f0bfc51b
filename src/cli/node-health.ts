/** How each node does, in the words of the node itself: writes, space, delays and queues, in a table. */
import { formatTable } from './table.ts';

/** What a node says of itself in `GET /api/v1/cluster`; one of an older version says less. */
export interface NodeHealth {
  readonly term: number;
  readonly disk?: { readonly freeBytes: number; readonly totalBytes: number; readonly level: string };
  readonly logWrites?: { readonly syncP50Ms: number; readonly queueP50Ms: number } | null;
  readonly queues?: { readonly exports: number; readonly blocks: number };
  readonly eventLoopDelayP99Ms?: number;
}

const header = ['ID', 'HTTP', 'TERM', 'WRITE', 'WAIT', 'FREE', 'LOOP', 'EXPORTS', 'BLOCKS'];

/** @param told what each node said that answered */
export function renderHealth(
  members: readonly { readonly id: string; readonly http: string | null }[],
  told: ReadonlyMap<string, NodeHealth>,
): string {
  const rows = members.map(({ id, http }) => {
    const { term, disk, logWrites, queues, eventLoopDelayP99Ms: loopMs } = told.get(id) ?? {};
    return [
      id,
      http ?? '-',
      shown(term),
      milliseconds(logWrites?.syncP50Ms),
      milliseconds(logWrites?.queueP50Ms),
      disk === undefined ? '-' : spaceText(disk),
      milliseconds(loopMs),
      shown(queues?.exports),
      shown(queues?.blocks),
    ];
  });
  return formatTable(header, rows);
}

const shown = (value: number | undefined): string => (value === undefined ? '-' : String(value));

function milliseconds(value: number | undefined): string {
  return value === undefined ? '-' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

function spaceText({ freeBytes, totalBytes, level }: Required<NodeHealth>['disk']): string {
  if (totalBytes === 0) return '-';
  const gibi = freeBytes / 2 ** 30;
  const size = gibi < 1 ? `${(1_024 * gibi).toFixed(0)} MiB` : `${gibi.toFixed(gibi < 100 ? 1 : 0)} GiB`;
  const mark = { ample: '', low: ' low', reserve: ' full' }[level] ?? '';
  return `${size} ${Math.floor((100 * freeBytes) / totalBytes)} %${mark}`;
}
