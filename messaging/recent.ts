/**
 * The newest entries of a map, between half of `entriesMax` and all of it: they are forgotten by halves, because finding the
 * oldest entry of a Map walks over all that were deleted before it.
 */
export class Recent<Value> {
  #newer = new Map<string, Value>();
  #older = new Map<string, Value>();

  constructor(private readonly entriesMax: number) {}

  get(key: string): Value | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  set(key: string, value: Value): void {
    if (this.#newer.size >= this.entriesMax / 2) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, value);
  }

  clear(): void {
    this.#newer.clear();
    this.#older.clear();
  }
}
