/** What the measurements share: which form is asked for, rounds by turns, and how a figure is told. */

/** `npm run measure` asks for the long form; a plain test run takes the short one. */
export const isLong = process.env["MEASURE"] === "1";

/** A line of the report. */
export function tell(line: string): void {
  process.stdout.write(`  ${line}\n`);
}

/** Seconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begunAt = performance.now();
  await work();
  return (performance.now() - begunAt) / 1_000;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The smallest value that this share of them doesn't exceed. */
export function quantile(values: readonly number[], share: number): number {
  const place = Math.max(0, Math.ceil(values.length * share) - 1);
  return values.toSorted((left, right) => left - right)[place] ?? Number.NaN;
}
