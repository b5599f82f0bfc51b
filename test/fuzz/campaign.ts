/**
 * One target's run: inputs one after the other until it is told to stop. One seed and one number of inputs are one run, to
 * the last byte; time only decides where it ends.
 */
import { SeededRandom } from '../support/seeded-random.ts';
import { Pool } from './pool.ts';
import { shrink } from './shrink.ts';
import type { Finding, Target, Verdict } from './target.ts';

export interface FoundInput extends Finding {
  readonly input: Uint8Array;
  /** Inputs before it. */
  readonly after: number;
}

export interface CampaignOptions {
  readonly seed: number;
  /** Inputs to begin with. */
  readonly corpus: readonly Uint8Array[];
  /** Findings of so many kinds end the campaign. */
  readonly kindsMax: number;
}

/** Of this many inputs one is made from nothing; the others are changed copies. */
const generatedOneIn = 4;

export class Campaign {
  readonly target: Target;
  /** Inputs judged so far. */
  inputs = 0;
  /** How many inputs came out how. */
  readonly outcomes = new Map<string, number>();
  /** The first input of each kind of finding, made small. */
  readonly findings: FoundInput[] = [];
  readonly #random: SeededRandom;
  readonly #pool: Pool;
  readonly #kindsMax: number;

  constructor(target: Target, { seed, corpus, kindsMax }: CampaignOptions) {
    this.target = target;
    this.#kindsMax = kindsMax;
    this.#random = new SeededRandom(seed);
    this.#pool = new Pool(corpus);
  }

  /** Inputs that are kept to be changed, as each showed something new. */
  get poolSize(): number {
    return this.#pool.size;
  }

  get isOver(): boolean {
    return this.findings.length >= this.#kindsMax;
  }

  /** Judges `count` more inputs, or fewer when the campaign is over. */
  run(count: number): void {
    const { stackTraceLimit } = Error;
    // Half of all inputs end in an error, and its stack is most of what that costs.
    Error.stackTraceLimit = 0;
    for (let left = count; left > 0 && !this.isOver; left -= 1) this.judge(this.#nextInput());
    Error.stackTraceLimit = stackTraceLimit;
  }

  /** Judges one input and notes what came of it. */
  judge(input: Uint8Array): void {
    const { outcome, shape, finding } = judged(this.target, input);
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (finding === null) {
      // A change of what is refused is mostly refused again.
      if (outcome === 'accepted') this.#pool.offer(input, shape);
    } else if (!this.findings.some(({ kind }) => kind === finding.kind)) {
      const small = shrink(
        this.target,
        input,
        (candidate) => judged(this.target, candidate).finding?.kind === finding.kind,
      );
      this.findings.push({ ...finding, ...judged(this.target, small).finding, input: small, after: this.inputs });
    }
    this.inputs += 1;
  }

  #nextInput(): Uint8Array {
    const random = this.#random;
    if (this.#pool.size === 0 || random.below(generatedOneIn) === 0) return this.target.generate(random);
    return this.target.mutate(this.#pool.pick(random), this.#pool.pick(random), random);
  }
}

/** The target's verdict; what it throws is a finding. */
function judged(target: Target, input: Uint8Array): Verdict {
  try {
    return target.judge(input);
  } catch (error) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const detail = error instanceof Error ? (error.stack ?? message) : message;
    const kind = `threw ${message.replaceAll(/\d+/g, 'n')}`;
    return { outcome: 'finding', shape: kind, finding: { kind, detail } };
  }
}
