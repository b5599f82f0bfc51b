/** A broken invariant of the protocol. The node stops: it must not limp on (style: assertions stay on in production). */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new InvariantError(sentence);
}
