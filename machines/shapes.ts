/** The two shapes that every doing state of the chart has: running, and backing off before the next try. */
import type { CheckoutContext, UndoName } from "./context.ts";
import type { ActorName, Actors } from "./step-inputs.ts";
import { checkoutSetup } from "./vocabulary.ts";
import type { DocumentedState } from "./view.ts";

type StateConfig = Parameters<typeof checkoutSetup.createStateConfig>[0];
type Transitions = NonNullable<StateConfig["on"]>;
type Invocation = Extract<NonNullable<StateConfig["invoke"]>, { readonly src: "createCheckoutOrder" }>;
type Tag = "insisting" | "deferred" | "awaitingPayment";

export interface Doing<Name extends ActorName> {
  /** Names the actor, and the step in `lastError`. */
  readonly id: string;
  readonly src: Name;
  readonly input: (args: { readonly context: CheckoutContext }) => Actors[Name]["input"];
  readonly onDone: Invocation["onDone"];
  readonly on?: Transitions;
  /** What is heard only between two tries, while no call is in flight. */
  readonly whileBackingOff?: Transitions;
}

/** A step: tried again while it may work later, then undone together with everything before it. */
export function retried<Name extends ActorName>(refines: DocumentedState, step: Doing<Name> & { readonly onFailed: string }) {
  const { id, onFailed } = step;
  return doing(
    refines,
    { ...step, on: { CANCEL: { target: onFailed, actions: { type: "giveUp", params: cancelled(id) } }, ...step.on } },
    [
      { guard: "mayRetryStep", target: "backingOff", actions: { type: "countFailure", params: { step: id } } },
      { target: onFailed, actions: { type: "fail", params: { step: id } } },
    ],
  );
}

/** Something that must happen: tried for ever, an operator is asked after a while. */
export function insisted<Name extends ActorName>(refines: DocumentedState, step: Doing<Name>, tags: readonly Tag[] = []) {
  const { id } = step;
  return doing(
    refines,
    step,
    [
      {
        guard: "alarms",
        target: "backingOff",
        actions: ["countFailureForEver", { type: "alarm", params: { step: id } }, "passTurn"],
      },
      { target: "backingOff", actions: ["countFailureForEver", "passTurn"] },
    ],
    ["insisting", ...tags],
  );
}

/** One undo: tried again while it may work later, then deferred, so that the others go on. */
export function undo(name: UndoName, step: Doing<"handleRollback"> & { readonly onDeferred: string }) {
  return doing("PROCESSING", step, [
    { guard: "mayRetryUndo", target: "backingOff", actions: "countUndoFailure" },
    {
      target: step.onDeferred,
      actions: [
        { type: "defer", params: { undo: name } },
        { type: "alarm", params: { step: step.id } },
      ],
    },
  ]);
}

function doing<Name extends ActorName>(
  refines: DocumentedState,
  { id, src, input, onDone, on = {}, whileBackingOff = {} }: Doing<Name>,
  onError: Invocation["onError"],
  tags: readonly Tag[] = [],
) {
  // TypeScript can't see that src and input belong together when both depend on Name; `Doing` says so above.
  const invoke = { id, src, input, onDone, onError } as unknown as Invocation;
  return checkoutSetup.createStateConfig({
    meta: { refines },
    tags: [...tags],
    initial: "running",
    on,
    states: {
      running: { meta: { refines }, invoke },
      backingOff: { meta: { refines }, after: { backoff: "running" }, on: whileBackingOff },
    },
  });
}

/** The undo that a failing step begins with: its own, because a step in flight counts as perhaps done. */
export function toUndo(name: UndoName): string {
  return `#checkout.PROCESSING.undoing.${name}`;
}

export function cancelled(step: string) {
  return { step, code: "CANCELLED", message: "The checkout was cancelled." };
}

const record = { actions: "recordPaymentNews" } as const;

/** Payment events that arrive before anyone waits for them: kept, applied in the settlement. */
export const early = {
  payment_collection_requirement_success: record,
  payment_collection_requirement_failed: record,
  payment_collection_requirement_expired: record,
} as const satisfies Transitions;
