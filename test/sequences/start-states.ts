/** Every state of the chart from STEP_5 on, and how a checkout comes to stand in it. */
import { UNDO_ORDER, type UndoName } from "../../machines/context.ts";
import type { ActorName } from "../../machines/step-inputs.ts";
import type { Letter } from "./alphabet.ts";
import type { CallKind, Failure, Moment } from "./call-desk.ts";

/** What else leads to a start state. "unheard": the provider captures, and nobody is told. */
export type Prelude = "attempt" | "poll" | "unheard";

export interface StartState {
  /** As in the chart; `replying` is `running` with the effect done and the reply not yet heard. */
  readonly name: string;
  readonly path: string;
  /** From the wait for the payment on; null = the checkout doesn't come so far. */
  readonly before: readonly (Letter | Prelude)[] | null;
  /** The call that is held while the letters are delivered. */
  readonly gate: CallKind | null;
  readonly failures: readonly Failure[];
}

type Variant = "running" | "replying" | "backingOff";

const CANCEL = ["cancel"] as const;

export const START_STATES: readonly StartState[] = [
  // Before its payment request exists nobody can pay: it exists in both.
  ...doing("STEP_5", "PROCESSING.STEP_5", null, "upsertLineItemsAndCreatePaymentRequest", ["replying", "backingOff"]),
  ...doing("STEP_6", "PROCESSING.STEP_6", null, "hydratePaymentAndUpdateLineItems", ["running", "backingOff"]),
  ...doing("STEP_7", "PROCESSING.STEP_7", null, "createPreferencesToLineItemsMapping", ["running", "backingOff"]),
  ...doing("producing", "PROCESSING.STEP_8.producing", null, "produceLineItemsUpdatedEvent", ["running", "backingOff"]),
  resting("awaitingPayment", "PROCESSING.STEP_8.settling.awaitingPayment", []),
  resting("awaitingPayment.unheard", "PROCESSING.STEP_8.settling.awaitingPayment", ["unheard"]),
  ...inOne("polling", "PROCESSING.STEP_8.settling.polling", ["poll"], "getPaymentStatus"),
  ...doing("requestingAttempt", "PROCESSING.STEP_8.settling.requestingAttempt", ["attempt"], "createPaymentAttempt"),
  ...doing("asking", "PROCESSING.STEP_8.asking", ["deadline"], "cancelIfPending").map(failingUntilFound),
  ...doing("asking.unheard", "PROCESSING.STEP_8.asking", ["deadline", "unheard"], "cancelIfPending", ["running"]),
  ...doing("confirming", "PROCESSING.STEP_8.confirming", ["success"], "executePCRSuccessSteps"),
  ...doing("producingConfirmed", "PROCESSING.STEP_8.producingConfirmed", ["success"], "produceLineItemsConfirmedEvent", [
    "running",
    "backingOff",
  ]),
  ...UNDO_ORDER.toReversed().flatMap((undo) => undoing(undo)),
  // A reversal that runs once more, for money that comes later, finds what an earlier one gave back.
  ...undoing("lineItems", ["other", "cancel"], "undoing.refunded.lineItems").slice(0, 1),
  ...deferred("paymentRequest"),
  resting("COMPLETED.atRest", "COMPLETED.atRest", ["success"]),
  ...doing("COMPLETED.refunding", "COMPLETED.refunding", ["success", "second"], "refundCapture"),
  resting("ROLLEDBACK.atRest", "ROLLEDBACK.atRest", CANCEL),
  ...doing("ROLLEDBACK.refunding", "ROLLEDBACK.refunding", ["cancel", "success"], "refundCapture"),
];

export function isUndoing({ path }: StartState): boolean {
  return path.startsWith("PROCESSING.undoing.");
}

/** It has been confirmed for good, or it has ended. */
export function isAfterPivot({ path }: StartState): boolean {
  return /^(PROCESSING\.STEP_8\.(confirming|producingConfirmed)|COMPLETED|ROLLEDBACK)\b/.test(path);
}

function resting(name: string, path: string, before: StartState["before"]): StartState {
  return { name, path, before, gate: null, failures: [] };
}

function doing(
  name: string,
  path: string,
  before: StartState["before"],
  actor: ActorName,
  variants: readonly Variant[] = ["running", "replying", "backingOff"],
  // The effect has happened, and its reply is lost: the try after it must not do it again.
  failsAt: Moment = "reply",
): StartState[] {
  return variants.map((variant) => {
    const state = { name: `${name}.${variant}`, before };
    if (variant === "backingOff") {
      const failures = [{ actor, at: failsAt, class: "TRANSIENT" as const }];
      return { ...state, path: `${path}.backingOff`, gate: null, failures };
    }
    const gate = { actor, at: variant === "running" ? ("call" as const) : ("reply" as const) };
    return { ...state, path: `${path}.running`, gate, failures: [] };
  });
}

/** The deadline is found up to a sweep of recovery late: so long it has to fail. */
function failingUntilFound(state: StartState): StartState {
  return { ...state, failures: [...state.failures, ...state.failures, ...state.failures] };
}

/** A state that is the call itself. */
function inOne(name: string, path: string, before: StartState["before"], actor: ActorName): StartState[] {
  return doing(name, path, before, actor, ["running", "replying"]).map((state) => ({ ...state, path }));
}

function undoing(undo: UndoName, before: StartState["before"] = CANCEL, name = `undoing.${undo}`): StartState[] {
  // Only the reversal of the payment moves money: what arrives before and after it differs.
  const variants: readonly Variant[] =
    undo === "paymentRequest" ? ["running", "replying", "backingOff"] : ["running", "backingOff"];
  return ofUndo(undo, doing(name, `PROCESSING.undoing.${undo}`, before, "handleRollback", variants));
}

function deferred(undo: UndoName): StartState[] {
  const first: Failure = { actor: "handleRollback", undo, at: "call", class: "TERMINAL" };
  return ofUndo(undo, doing("undoing.deferred", "PROCESSING.undoing.deferred", CANCEL, "handleRollback")).map((state) => {
    return { ...state, failures: [first, ...state.failures] };
  });
}

function ofUndo(undo: UndoName, states: readonly StartState[]): StartState[] {
  return states.map((state) => ({
    ...state,
    gate: state.gate === null ? null : { ...state.gate, undo },
    failures: state.failures.map((failure) => ({ ...failure, undo })),
  }));
}
