/** What the programs of the bench share at the command line: numbers, refusals in one sentence, progress. */

/** The value of `--name`, a natural number; anything else ends the program with a sentence. */
export function natural<Name extends string>(values: Readonly<Partial<Record<Name, unknown>>>, name: Name): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  return refuse(`--${name} must be a natural number, not ${String(values[name])}.`);
}

export function refuse(sentence: string): never {
  console.error(sentence);
  process.exit(2);
}

/** Progress, apart from the figures. */
export function say(what: string): void {
  console.error(`- ${what}`);
}
