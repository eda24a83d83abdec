/** What the nodes counted, added up over all processes: a killed one keeps what was last seen of it. */
import { COUNTER_NAMES, type CounterName } from "../../runtime/telemetry.ts";

const LOOK_MAX_MS = 1_000;
const LINE = /^(\w+)_total (\d+)$/gm;

/** A process that serves metrics; null = not yet. */
interface Process {
  readonly name: string;
  readonly url: string | null;
}

type Counts = Readonly<Partial<Record<CounterName, number>>>;

export class Tally {
  readonly #seen = new Map<string, Counts>();

  /** Asks it for its metrics; one that doesn't answer keeps what was seen before. */
  async look({ name, url }: Process): Promise<void> {
    if (url === null) return;
    const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(LOOK_MAX_MS) }).then(
      (response) => response.text(),
      () => "",
    );
    const counts = Object.fromEntries([...text.matchAll(LINE)].map(([, counter, count]) => [counter, Number(count)]));
    if (text !== "") this.#seen.set(name, counts);
  }

  get sums(): Readonly<Record<CounterName, number>> {
    const sum = (counter: CounterName) => [...this.#seen.values()].reduce((total, counts) => total + (counts[counter] ?? 0), 0);
    return Object.fromEntries(COUNTER_NAMES.map((counter) => [counter, sum(counter)])) as Record<CounterName, number>;
  }
}
