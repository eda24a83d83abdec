/** A subscriber's handler, as good or bad as the scenario says for each event. */
import { pause } from "../../subscribe/clock.ts";
import type { Handler } from "../../subscribe/options.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import { HandlerFailure, type Ledger, type Member } from "./simulated-ledger.ts";
import type { Behaviour, PlannedEvent } from "./simulated-scenario.ts";
import type { Way } from "./simulated-way.ts";

const QUICK_MAX_MS = 20;

export interface HandlerParts {
  readonly way: Way;
  readonly ledger: Ledger;
  readonly member: Member;
  readonly planned: ReadonlyMap<string, PlannedEvent>;
  /** Null: its effects are elsewhere, and its positions in the bucket. */
  readonly database: Pick<SimulatedDatabase, "commit"> | null;
}

export function handlerOf({ way, ledger, member, planned, database }: HandlerParts): Handler {
  return async (event, { signal, from, to }) => {
    // What a dead process still calls never happened.
    if (way.life.isDead) await way.life.turn();
    const times = ledger.handlings.filter((handling) => handling.event.id === event.id).length;
    const handling = ledger.begin(member, event, to);
    const effect = () => ledger.effect(handling);
    try {
      await way.step();
      await pause(way.life.clock(way.clock), way.faults.draw() * QUICK_MAX_MS);
      await behave(planned.get(event.id)?.behaviour ?? { kind: "succeeds" }, times, way, signal);
      if (database !== null) return await way.call(() => database.commit(event.subject, from, to, effect));
      await way.step();
      effect();
      await way.step();
    } finally {
      ledger.note(`${member.name} ends ${event.id}`);
      handling.isRunning = false;
    }
  };
}

async function behave(behaviour: Behaviour, times: number, { life, clock }: Way, signal: AbortSignal): Promise<void> {
  switch (behaviour.kind) {
    case "succeeds":
      return;
    case "poison":
      throw new HandlerFailure("It never can be handled.");
    case "throws":
      if (times < behaviour.times) throw new HandlerFailure("It can't be handled now.");
      return;
    case "hangs":
      if (times < behaviour.times) await aborted(signal);
      return;
    case "slow":
      if (times < behaviour.times) await pause(life.clock(clock), behaviour.ms, behaviour.heedsSignal ? signal : undefined);
      return;
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
