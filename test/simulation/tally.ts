/** What many runs came to, added up. */
import { COVERED } from "./coverage.ts";
import { FAULT_KINDS } from "./faults.ts";
import type { SeedReport } from "./run-seed.ts";

export class Tally {
  runs = 0;
  failures = 0;
  #checkouts = 0;
  #virtualMs = 0;
  readonly #began = process.cpuUsage();
  readonly #faults = new Map<string, number>();
  readonly #coverage = new Map<string, number>();

  add({ breaches, checkouts, virtualMs, faults, coverage }: SeedReport): void {
    this.runs++;
    if (breaches.length > 0) this.failures++;
    this.#checkouts += checkouts;
    this.#virtualMs += virtualMs;
    sum(this.#faults, faults);
    sum(this.#coverage, coverage);
  }

  /** What no run has met: the simulation is blind to it. */
  get missed(): readonly string[] {
    return [...FAULT_KINDS.filter((kind) => !this.#faults.has(kind)), ...COVERED.filter((what) => !this.#coverage.get(what))];
  }

  /** In a line: runs, what is wrong, checkouts, time. */
  headline(from: number): string {
    const { user, system } = process.cpuUsage(this.#began);
    const seconds = (user + system) / 1_000_000;
    const hours = (this.#virtualMs / 3_600_000).toFixed(1);
    const perMinute = Math.round((this.runs / seconds) * 60);
    return (
      `${this.runs} seeds from ${from}: ${this.failures} wrong; ${this.#checkouts} checkouts, ${hours} virtual hours, ` +
      `${seconds.toFixed(0)} s of one core, ${perMinute} seeds a minute`
    );
  }

  /** With how often each fault struck, and each situation was met. */
  summary(from: number): string {
    const table = (rows: ReadonlyMap<string, number>, names: readonly string[]) =>
      names.map((name) => `  ${name.padEnd(36)} ${rows.get(name) ?? 0}\n`).join("");
    return `${this.headline(from)}\nfaults:\n${table(this.#faults, FAULT_KINDS)}met:\n${table(this.#coverage, COVERED)}`;
  }
}

function sum(all: Map<string, number>, some: ReadonlyMap<string, number>): void {
  for (const [name, count] of some) all.set(name, (all.get(name) ?? 0) + count);
}
