/** How a checkout's internal state reads from outside: the documented state and the public status. */
import type { AnyMachineSnapshot, StateValue } from "xstate";
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

/** `{ PROCESSING: { STEP_3: "running" } }` → `PROCESSING.STEP_3.running`. */
export function pathOf(value: StateValue): string {
  if (typeof value === "string") return value;
  return Object.entries(value)
    .map(([key, child]) => (child === undefined ? key : `${key}.${pathOf(child)}`))
    .join("|");
}

/** How `snapshot`, the one after transition `seq`, reads from outside. */
export function viewOf(snapshot: AnyMachineSnapshot, seq: number): CheckoutView {
  const context = snapshot.context as CheckoutContext;
  const path = pathOf(snapshot.value);
  return {
    executionContextId: context.executionContextId,
    seq,
    path,
    state: documentedStateOf(path),
    status: statusOf(snapshot, context),
    finished: snapshot.hasTag("finished"),
    context,
  };
}

/** The innermost part of a path that the specification names. */
export function documentedStateOf(path: string): DocumentedState {
  const named = path
    .split(".")
    .filter((part): part is DocumentedState => (DOCUMENTED_STATES as readonly string[]).includes(part));
  return named.at(-1) ?? "INITIALIZED";
}

/** From the committed transition into `confirming` on there is only forward. */
export function isPastPivot({ path, state }: Pick<CheckoutView, "path" | "state">): boolean {
  return state === "COMPLETED" || /^PROCESSING\.STEP_8\.(confirming|producingConfirmed)\b/.test(path);
}

function statusOf(snapshot: AnyMachineSnapshot, context: CheckoutContext): CheckoutStatus {
  // Late money never changes what a finished checkout is.
  if (snapshot.matches("COMPLETED")) return "CONFIRMED";
  if (snapshot.matches("ROLLEDBACK")) return "ROLLED_BACK";
  const isAlarming = snapshot.hasTag("insisting") && context.retry.failures > context.policy.undoRetryMax;
  if (isAlarming || (snapshot.hasTag("deferred") && context.retry.failures > 0)) return "NEEDS_ATTENTION";
  if (snapshot.hasTag("undoing")) return "ROLLING_BACK";
  return snapshot.hasTag("awaitingPayment") ? "AWAITING_PAYMENT" : "PROCESSING";
}
