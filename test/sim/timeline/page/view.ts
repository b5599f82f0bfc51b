/** The part of the run that is in sight. Kept in the address, so that it can be handed on: `#t=12.5,14`, in seconds. */

const narrowestMs = 0.2;
/** Of the whole run, free at both ends. */
const marginShare = 0.01;

export class View {
  readonly wholeFromMs: number;
  readonly wholeToMs: number;
  fromMs: number;
  toMs: number;
  readonly #changed: () => void;

  constructor(endMs: number, changed: () => void) {
    const marginMs = Math.max(1, endMs * marginShare);
    this.wholeFromMs = this.fromMs = -marginMs;
    this.wholeToMs = this.toMs = endMs + marginMs;
    this.#changed = changed;
  }

  get lengthMs(): number {
    return this.toMs - this.fromMs;
  }

  show(fromMs: number, toMs: number): void {
    const wholeMs = this.wholeToMs - this.wholeFromMs;
    const lengthMs = Math.min(wholeMs, Math.max(narrowestMs, toMs - fromMs));
    const middleMs = (fromMs + toMs) / 2;
    this.fromMs = Math.min(this.wholeToMs - lengthMs, Math.max(this.wholeFromMs, middleMs - lengthMs / 2));
    this.toMs = this.fromMs + lengthMs;
    this.#changed();
  }

  showWhole(): void {
    this.show(this.wholeFromMs, this.wholeToMs);
  }

  /** `ms` in the middle, and no more around it than now. */
  centre(ms: number, lengthMs = this.lengthMs): void {
    this.show(ms - lengthMs / 2, ms + lengthMs / 2);
  }

  /** Moves only if `ms` is out of sight. */
  reveal(ms: number): void {
    if (ms < this.fromMs || ms > this.toMs) this.centre(ms);
  }

  /** @param factor below 1 is nearer; `aroundMs` stays where it is */
  zoom(factor: number, aroundMs = (this.fromMs + this.toMs) / 2): void {
    const lengthMs = Math.max(narrowestMs, this.lengthMs * factor);
    const share = (aroundMs - this.fromMs) / this.lengthMs;
    this.show(aroundMs - share * lengthMs, aroundMs + (1 - share) * lengthMs);
  }

  pan(byMs: number): void {
    this.show(this.fromMs + byMs, this.toMs + byMs);
  }

  get fragment(): string {
    return `#t=${seconds(this.fromMs)},${seconds(this.toMs)}`;
  }

  /** False if the fragment names no time. */
  goTo(fragment: string): boolean {
    const [, from, to] = /^#t=(-?[\d.]+),(-?[\d.]+)$/.exec(fragment) ?? [];
    if (!(Number(from) < Number(to))) return false;
    this.show(Number(from) * 1_000, Number(to) * 1_000);
    return true;
  }
}

const seconds = (ms: number): string => String(Number((ms / 1_000).toFixed(5)));
