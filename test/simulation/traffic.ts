/** Calls to participants, for all nodes: which are on their way, and who is down. */
import type { Life } from "./life.ts";

interface Journey {
  readonly executionContextId: unknown;
  readonly life: Life;
  hasLeft: boolean;
}

export class Traffic {
  readonly #journeys = new Set<Journey>();
  /** By participant, in milliseconds since the epoch. */
  readonly #downUntil = new Map<string, number>();

  begin([call]: readonly unknown[], life: Life): Journey {
    const { executionContextId } = (call ?? {}) as { readonly executionContextId?: string };
    const journey = { executionContextId, life, hasLeft: false };
    this.#journeys.add(journey);
    return journey;
  }

  end(journey: Journey): void {
    this.#journeys.delete(journey);
  }

  /** Whether no call for this checkout can still arrive anywhere: what a node had not sent when it died never does. */
  isQuiet(executionContextId: string): boolean {
    return ![...this.#journeys].some(
      (journey) => journey.executionContextId === executionContextId && (journey.hasLeft || !journey.life.isDead),
    );
  }

  takeDown(participant: string, until: number): void {
    this.#downUntil.set(participant, until);
  }

  isDown(participant: string, now: number): boolean {
    return now < (this.#downUntil.get(participant) ?? 0);
  }

  endOutages(): void {
    this.#downUntil.clear();
  }
}
