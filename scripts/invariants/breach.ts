/** Lines for what is broken, each beginning with the number of its invariant (docs/invariants.md). */
export type Check<Of> = (evidence: Of) => readonly string[];

export function breach(isBroken: boolean, line: string): readonly string[] {
  return isBroken ? [line] : [];
}

export function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}

export function isCounting(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => number === index + 1);
}

export function isCompleted({ row }: { readonly row: { readonly state: string } }): boolean {
  return row.state === "COMPLETED";
}
