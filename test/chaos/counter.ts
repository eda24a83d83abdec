/** Counts by name, in the order in which each name came first. */
export class Counter {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, this.get(name) + by);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  get entries(): readonly (readonly [name: string, count: number])[] {
    return [...this.#counts];
  }
}
