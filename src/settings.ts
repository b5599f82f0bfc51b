/**
 * How a table of settings becomes values: from flags, the `QUORATE_*` environment and a file, in that order of rank.
 * What is wrong names itself, says what is allowed and where it came from; what is unknown is refused with the nearest
 * name. The table itself is src/config.ts.
 */
/** A mistake of the operator, in one sentence. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** One row of the table. `parse` gives the value, or the rest of a sentence that begins with the value in quotes. */
export interface Setting<Value> {
  /** As in the synopsis: `HOST:PORT`. */
  readonly placeholder: string;
  readonly description: string;
  readonly parse: (text: string) => Value | Refusal;
  /** In the words of a flag, or described in <angle brackets> when it follows from another setting; absent: required. */
  readonly default?: string;
}

export class Refusal {
  readonly sentence: string;
  constructor(sentence: string) {
    this.sentence = sentence;
  }
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type Values<Table extends Settings> = {
  -readonly [Name in keyof Table]: Exclude<ReturnType<Table[Name]['parse']>, Refusal> | undefined;
};

/** Where settings come from. `readFile` returns the text of the config file or throws. */
export interface SettingSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

/** `log-level` -> `QUORATE_LOG_LEVEL`. */
export const environmentName = (name: string): string => `QUORATE_${name.toUpperCase().replaceAll('-', '_')}`;

/**
 * Parses every given setting of `table`; variables named after `known` are left alone. `origins` has ` (from X)` for what did not come from a flag, else ''.
 * Throws ConfigError.
 */
export function readSettings<Table extends Settings>(
  table: Table,
  { flags, environment, readFile }: SettingSources,
  options: { readonly known: readonly string[]; readonly file?: Setting<string> },
): { values: Values<Table>; origins: Record<string, string> } {
  const names = Object.keys(table);
  const flagNames = options.file === undefined ? names : [...names, 'config'];
  refuseUnknown(Object.keys(flags), flagNames, (name) => `--${name}`, '');
  refuseUnknownEnvironment(Object.keys(environment), options.known);

  const found = new Map<string, { text: unknown; origin: string }>();
  const path = flags['config'] ?? environment['QUORATE_CONFIG'];
  if (options.file !== undefined && typeof path === 'string') {
    const file = assertParsed(options.file.parse(path), '--config', path);
    const content = parseFile(file, readFile);
    refuseUnknown(Object.keys(content), names, (name) => `"${name}"`, ` (in ${file})`);
    for (const [name, text] of Object.entries(content)) found.set(name, { text, origin: ` (from ${file})` });
  }
  for (const name of names) {
    const variable = environmentName(name);
    if (environment[variable] !== undefined)
      found.set(name, { text: environment[variable], origin: ` (from ${variable})` });
    if (flags[name] !== undefined) found.set(name, { text: flags[name], origin: '' });
  }

  const values: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, { text, origin }] of found) {
    const setting = table[name];
    if (setting === undefined) throw new Error(`no such setting: ${name}`);
    if (typeof text !== 'string')
      throw new ConfigError(`--${name}: ${JSON.stringify(text)} is not text in quotes${origin}`);
    values[name] = assertParsed(setting.parse(text), `--${name}`, text, origin);
    origins[name] = origin;
  }
  for (const name of names) origins[name] ??= '';
  return { values: values as Values<Table>, origins };
}

function parseFile(file: string, readFile: (path: string) => string): Record<string, unknown> {
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    throw new ConfigError(`--config: ${file} cannot be read: ${(error as Error).message}`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`--config: ${file} is not JSON: ${(error as Error).message}`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new ConfigError(`--config: ${file} must hold one object, for example {"id": "n1"}`);
  }
  return content as Record<string, unknown>;
}

export function assertParsed<Value>(value: Value | Refusal, name = '', text = '', origin = ''): Value {
  if (!(value instanceof Refusal)) return value;
  throw new ConfigError(`${name}: ${JSON.stringify(text)} ${value.sentence}${origin}`);
}

function refuseUnknown(
  given: readonly string[],
  known: readonly string[],
  show: (name: string) => string,
  origin: string,
): void {
  for (const name of given) {
    if (known.includes(name)) continue;
    const near = nearestName(name, known);
    const hint = near === undefined ? `known are ${known.map(show).join(', ')}` : `did you mean ${show(near)}?`;
    throw new ConfigError(`${show(name)} is not a setting; ${hint}${origin}`);
  }
}

/** Variables that Kubernetes gives every container beside a service named `quorate...`; they are not ours. */
const kubernetesVariable = /^QUORATE_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_.+)?)$/;

function refuseUnknownEnvironment(variables: readonly string[], names: readonly string[]): void {
  const ours = variables.filter((name) => name.startsWith('QUORATE_') && !kubernetesVariable.test(name));
  refuseUnknown(ours, names.map(environmentName), (name) => name, '');
}

/** The known name closest to a mistyped one, or undefined when none is close. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const reach = Math.max(2, Math.floor(name.length / 3));
  return known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .filter(({ distance }) => distance <= reach)
    .toSorted((a, b) => a.distance - b.distance)[0]?.candidate;
}

/** Insertions, deletions and substitutions from one word to the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...from].entries()) {
    const next = [line + 1];
    for (const [column, other] of [...to].entries()) {
      const [diagonal = 0, above = 0] = row.slice(column, column + 2);
      next.push(Math.min(diagonal + (letter === other ? 0 : 1), above + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
