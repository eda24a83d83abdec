/** Judgements of one version, counted. */
import type { Difference, Judgement } from "./judgement.ts";

export const KINDS = ["goes on", "migrated", "pinned", "blocking"] as const satisfies readonly Judgement["kind"][];

/** One thing that would go another way, and how much of what was judged it stands for. */
export interface Finding {
  readonly difference: Difference;
  readonly count: number;
  /** The checkout in which it shows, or null: in a released version's states. */
  readonly checkout: string | null;
}

export class Tally {
  readonly counts: Record<Judgement["kind"], number> = { "goes on": 0, migrated: 0, pinned: 0, blocking: 0 };
  readonly #findings = new Map<string, Finding>();

  add(judgement: Judgement, checkout: string | null = null): void {
    this.counts[judgement.kind]++;
    if (judgement.kind !== "blocking") return;
    const { difference } = judgement;
    const key = JSON.stringify([difference.path, difference.event, difference.message, checkout]);
    const count = (this.#findings.get(key)?.count ?? 0) + 1;
    this.#findings.set(key, { difference, count, checkout });
  }

  get total(): number {
    return KINDS.reduce((sum, kind) => sum + this.counts[kind], 0);
  }

  /** What stands for the most comes first. */
  get findings(): readonly Finding[] {
    return [...this.#findings.values()].sort((left, right) => right.count - left.count);
  }
}
