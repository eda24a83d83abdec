/** The key-value bucket of all processes. */
import type { Bucket, Entry } from "../../subscribe/bucket.ts";
import type { VirtualClock } from "../simulation/virtual-clock.ts";
import type { Faults } from "./simulated-faults.ts";
import type { Way } from "./simulated-way.ts";

const OUTAGE_MAX_MS = 25_000;

export class SimulatedBucket {
  readonly #entries = new Map<string, Entry>();
  /** Progress that was. */
  readonly setBack: string[] = [];
  #revision = 0;
  #downUntil = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
  ) {}

  /** As one process reaches it. */
  by(way: Way): Bucket {
    return {
      get: (key) => way.call(() => this.#entries.get(key) ?? null, this.#isDown),
      put: (key, value, revision) => way.call(() => this.#put(key, value, revision), this.#isDown),
    };
  }

  endOutages(): void {
    this.#downUntil = 0;
  }

  #put(key: string, value: string, revision: number): number | null {
    if ((this.#entries.get(key)?.revision ?? 0) !== revision) return null;
    const before = this.#entries.get(key)?.value ?? "0";
    if (key.startsWith("progress.") && Number(value) < Number(before)) this.setBack.push(`${key} from ${before} to ${value}`);
    this.#entries.set(key, { value, revision: ++this.#revision });
    return this.#revision;
  }

  readonly #isDown = (): boolean => {
    const { clock, faults } = this;
    if (faults.strikes("bucket: down")) this.#downUntil = clock.monotonic() + faults.draw() * OUTAGE_MAX_MS;
    return clock.monotonic() < this.#downUntil;
  };
}
