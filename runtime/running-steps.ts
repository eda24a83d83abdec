/**
 * The steps of one checkout that are in flight. Each start is an incarnation: the outcome of one that was
 * stopped, or started anew, is stale and must not be believed.
 */
import type { CheckoutMachine } from "../machines/checkout.ts";
import type { Clock } from "../steps/ports.ts";
import { outcomeEvent, runStep, type StepOutcome, type StepStart } from "./engine.ts";
import type { Log } from "./telemetry.ts";

/** A step that has not answered by then counts as perhaps done, and is tried again under the same key. */
const STEP_TIME_MAX_MS = 30_000;

export interface StepReport {
  readonly stepId: string;
  readonly incarnation: number;
  readonly event: ReturnType<typeof outcomeEvent>;
}

export interface RunningStepsDeps {
  readonly executionContextId: string;
  readonly machine: CheckoutMachine;
  readonly clock: Clock;
  readonly log: Log;
  readonly onOutcome: (report: StepReport) => void;
  /** Our bug, or corrupt data: no transition follows. */
  readonly onBroken: (error: unknown) => void;
}

export class RunningSteps {
  private readonly running = new Map<string, { readonly incarnation: number; readonly stop: () => void }>();
  private incarnations = 0;

  constructor(private readonly deps: RunningStepsDeps) {}

  start(step: StepStart): void {
    const { clock, machine } = this.deps;
    const incarnation = ++this.incarnations;
    const report = (outcome: StepOutcome) => {
      cancelTimeout();
      this.report(step.id, incarnation, outcome);
    };
    const stopStep = runStep(machine, step, report);
    const cancelTimeout = clock.after(STEP_TIME_MAX_MS, () => {
      stopStep();
      report({ kind: "failed", error: { class: "TRANSIENT", code: "TIMEOUT", message: `${step.id} gave no answer in time.` } });
    });
    const stop = () => {
      cancelTimeout();
      stopStep();
    };
    this.running.set(step.id, { incarnation, stop });
  }

  /** True once for each outcome that is still waited for. */
  take({ stepId, incarnation }: StepReport): boolean {
    return this.running.get(stepId)?.incarnation === incarnation && this.running.delete(stepId);
  }

  /** Aborts it: it counts as perhaps done, and what it still reports is stale. */
  stop(stepId: string): void {
    this.running.get(stepId)?.stop();
    this.running.delete(stepId);
  }

  stopAll(): void {
    for (const { stop } of this.running.values()) stop();
    this.running.clear();
  }

  private report(stepId: string, incarnation: number, outcome: StepOutcome): void {
    if (outcome.kind === "broken") return this.deps.onBroken(outcome.error);
    if (outcome.kind === "failed") {
      const { executionContextId, log } = this.deps;
      log.warn({ executionContextId, step: stepId, code: outcome.error.code, err: outcome.cause }, "A step failed");
    }
    this.deps.onOutcome({ stepId, incarnation, event: outcomeEvent(stepId, outcome) });
  }
}
