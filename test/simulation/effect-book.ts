/** What participants have done, by operation and key: idempotent, undone by the same key, with a tombstone where nothing was done. */
import { TerminalError } from "../../machines/errors.ts";
import type { Call, UndoReport } from "../../steps/services.ts";
import { keyOf, read, written, type JsonText } from "./memory-rows.ts";

type EffectState = "LIVE" | "CONFIRMED" | "UNDONE";

export interface Effect {
  readonly operation: string;
  readonly executionContextId: string;
  readonly state: EffectState;
  /** Null on the tombstone of what never happened. */
  readonly result: JsonText<unknown> | null;
}

const NOTHING_CHANGED: UndoReport = { conflicts: [] };

export class EffectBook {
  /** What no correct orchestrator asks for. */
  readonly violations: string[] = [];
  /** Calls that came after their own undo. */
  refusals = 0;

  constructor(private readonly rows = new Map<string, Effect>()) {}

  clone(): EffectBook {
    return new EffectBook(new Map(this.rows));
  }

  of(executionContextId: string): readonly Effect[] {
    return [...this.rows.values()].filter((effect) => effect.executionContextId === executionContextId);
  }

  /** Once per key; the same key gives the first result. */
  perform<Result>(operation: string, { executionContextId, key }: Call, result: () => Result): Result {
    const at = keyOf(operation, key);
    const known = this.rows.get(at);
    if (known?.state === "UNDONE") {
      this.refusals++;
      throw new TerminalError("UNDONE", `${operation} of ${key} was undone; it is not done any more.`);
    }
    const effect = known ?? { operation, executionContextId, state: "LIVE" as const, result: written<unknown>(result()) };
    this.rows.set(at, effect);
    return read(effect.result ?? written(null)) as Result;
  }

  undo(operation: string, { executionContextId, key }: Call): UndoReport {
    const at = keyOf(operation, key);
    const known = this.rows.get(at) ?? { operation, executionContextId, state: "LIVE" as const, result: null };
    if (known.state === "CONFIRMED") {
      this.violations.push(`${operation} of ${key} was undone after its confirmation`);
      return { conflicts: [{ entity: operation, id: key, reason: "It is confirmed; it was left as it is." }] };
    }
    this.rows.set(at, { ...known, state: "UNDONE" });
    return NOTHING_CHANGED;
  }

  /** LIVE → CONFIRMED; again is a no-op. */
  confirm(operation: string, call: Call): void {
    this.requireLive(operation, call);
    for (const [at, effect] of this.rows) {
      if (effect.operation !== operation || effect.executionContextId !== call.executionContextId) continue;
      this.rows.set(at, { ...effect, state: "CONFIRMED" });
    }
  }

  /** Later operations build on what an earlier one did. */
  requireLive(operation: string, { executionContextId }: Call): void {
    const own = this.of(executionContextId).filter((effect) => effect.operation === operation);
    if (own.length > 0 && own.every(({ state }) => state !== "UNDONE")) return;
    throw new TerminalError("UNDONE", `There is no ${operation} of ${executionContextId} that stands.`);
  }
}
