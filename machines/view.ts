/** How a checkout's internal state reads from outside: the documented state and the public status. */
import type { CheckoutContext } from "./context.ts";

export const DOCUMENTED_STATES = [
  "INITIALIZED",
  "PROCESSING",
  "STEP_1",
  "STEP_2",
  "STEP_3",
  "STEP_4",
  "STEP_5",
  "STEP_6",
  "STEP_7",
  "STEP_8",
  "COMPLETED",
  "ROLLEDBACK",
] as const;
export type DocumentedState = (typeof DOCUMENTED_STATES)[number];

export type CheckoutStatus = "PROCESSING" | "AWAITING_PAYMENT" | "CONFIRMED" | "ROLLING_BACK" | "ROLLED_BACK" | "NEEDS_ATTENTION";

/** One checkout at one moment. Built from the snapshot alone, so it reads the same live, stored and back in time. */
export interface CheckoutView {
  readonly executionContextId: string;
  readonly seq: number;
  /** XState's state value as a dotted path, e.g. `PROCESSING.STEP_3.running`. */
  readonly path: string;
  readonly state: DocumentedState;
  readonly status: CheckoutStatus;
  /** In COMPLETED or ROLLEDBACK; refunds of late money may still go on. */
  readonly finished: boolean;
  readonly context: CheckoutContext;
}
