/** What expires, and whether the clocks that it goes by can be relied on, in the words of the nodes themselves. */
import { formatAge, formatBytes } from '../config.ts';

/** What a node says of it in `GET /api/v1/cluster`; one of an older version says nothing. */
export interface NodeRetention {
  readonly retention?: {
    readonly ageMs: number | null;
    readonly bytes: number | null;
    readonly trimmedTo: number;
    readonly trimmedToMs: number | null;
  };
  readonly clockAlarm?: string | null;
}

/** @param told what each node said that answered; `by` is the one that was asked. Empty where there is nothing to tell. */
export function renderRetention(by: string, told: ReadonlyMap<string, NodeRetention>): string {
  const settings = [...told].flatMap(([id, { retention }]) => (retention === undefined ? [] : [{ id, ...retention }]));
  const texts = settings.map((one) => ({ id: one.id, text: settingText(one) }));
  const [first] = texts;
  const isOne = texts.every(({ text }) => text === first?.text);
  const trimmed = told.get(by)?.retention;
  const lines: string[] = [];
  if (first !== undefined && (!isOne || first.text !== forEver || (trimmed?.trimmedTo ?? 0) > 0)) {
    const kept = isOne
      ? first.text
      : `${texts.map(({ id, text }) => `${id} ${text}`).join('; ')} (give all nodes the same: the leader goes by its own)`;
    lines.push(`retention: ${kept}${trimmed === undefined ? '' : trimmedText(trimmed)}`);
  }
  for (const [id, { clockAlarm }] of told) if (clockAlarm != null) lines.push(`clock alarm on ${id}: ${clockAlarm}`);
  return lines.map((line) => `\n\n${line}`).join('');
}

type Retention = NonNullable<NodeRetention['retention']>;

const forEver = 'for ever';

function settingText({ ageMs, bytes }: Retention): string {
  const parts = [...(ageMs === null ? [] : [formatAge(ageMs)]), ...(bytes === null ? [] : [formatBytes(bytes)])];
  return parts.length === 0 ? forEver : parts.join(', ');
}

function trimmedText({ trimmedTo, trimmedToMs }: Retention): string {
  if (trimmedTo === 0 || trimmedToMs === null) return '; nothing has expired';
  return `; what came up to ${new Date(trimmedToMs).toISOString()} has expired (entry ${trimmedTo})`;
}
