/** What the fuzzer runs: a target makes inputs and judges them. All of it is a function of the input and the random numbers. */
import type { SeededRandom } from '../support/seeded-random.ts';

export const targetNames = ['wire', 'json', 'merge', 'frames'] as const;
export type TargetName = (typeof targetNames)[number];

/** Two decoders disagree, or one does what it must not. Findings of one kind have one cause, most likely. */
export interface Finding {
  /** A short name, the same for the same cause, whatever the input. */
  readonly kind: string;
  readonly detail: string;
}

export interface Verdict {
  /** Counted and printed: `accepted`, `refused`, or the name of a known difference. */
  readonly outcome: string;
  /** Equal for inputs that took the same way, as far as is cheap to know: an input with a new one enters the pool. */
  readonly shape: string;
  readonly finding: Finding | null;
}

export interface Target {
  readonly name: TargetName;
  /** A new input, made by the rules of its format. */
  generate(random: SeededRandom): Uint8Array;
  /** A changed copy of `input`; `other` is there to take pieces from. */
  mutate(input: Uint8Array, other: Uint8Array, random: SeededRandom): Uint8Array;
  /** A smaller copy of `input`, if there is one, for a finding to be shown with. */
  reduce(input: Uint8Array, random: SeededRandom): Uint8Array;
  /** Judges `input`. What it throws is a finding too: nothing from outside may have that effect. */
  judge(input: Uint8Array): Verdict;
}
