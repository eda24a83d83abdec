import { describe, expect, it } from "vitest";
import { initialTransition } from "xstate";
import type { CheckoutContext } from "../../machines/context.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import { descendants } from "../../machines/contraction.ts";
import { documentedStateOf, isPastPivot, pathOf, viewOf } from "../../machines/view.ts";
import { contextWith, newContext } from "../support/checkout-context.ts";

const { policy } = newContext();
const leaves = descendants(checkoutMachine.root).filter((node) => Object.keys(node.states).length === 0);

function failing(failures: number): CheckoutContext {
  return { ...contextWith(), retry: { failures, firstFailedAt: 0, delayMs: 100 } };
}

/** As if the checkout stood at `path`, e.g. `PROCESSING.STEP_3.running`. */
function viewAt(path: string, context: CheckoutContext = contextWith()) {
  const keys = path.split(".");
  const value = keys.slice(0, -1).reduceRight<string | object>((inner, key) => ({ [key]: inner }), keys.at(-1) ?? "");
  return viewOf(checkoutMachine.resolveState({ value: value as never, context }), 7);
}

it("a state value reads as a dotted path", () => {
  expect(pathOf("INITIALIZED")).toBe("INITIALIZED");
  expect(pathOf({ PROCESSING: { STEP_3: "running" } })).toBe("PROCESSING.STEP_3.running");
});

it.each(leaves.map((node) => [node.path.join("."), node] as const))("%s reads as the state that it refines", (path, node) => {
  const view = viewAt(path);
  expect(view.path).toBe(path);
  expect(view.state).toBe((node.meta as { readonly refines: string }).refines);
  expect(view.finished).toBe(path.startsWith("COMPLETED") || path.startsWith("ROLLEDBACK"));
});

it("the innermost documented name of a path counts", () => {
  expect(documentedStateOf("PROCESSING.opening.acquiringLocks.running")).toBe("PROCESSING");
  expect(documentedStateOf("PROCESSING.STEP_8.settling.awaitingPayment")).toBe("STEP_8");
});

it("a path without a documented name, which no checkout stands at, reads as its beginning", () => {
  expect(documentedStateOf("somewhere")).toBe("INITIALIZED");
});

it.each([
  ["PROCESSING.STEP_8.settling.awaitingPayment", false],
  ["PROCESSING.STEP_8.asking.running", false],
  ["PROCESSING.STEP_8.confirming.running", true],
  ["PROCESSING.STEP_8.confirming.backingOff", true],
  ["PROCESSING.STEP_8.producingConfirmed.running", true],
  ["COMPLETED.atRest", true],
  ["ROLLEDBACK.atRest", false],
  ["PROCESSING.undoing.deferred.running", false],
])("%s is past the pivot: %s", (path, expected) => {
  expect(isPastPivot(viewAt(path))).toBe(expected);
});

it("a view carries who, which transition and the whole context", () => {
  const input = { executionContextId: "ctx_1", userId: "usr_1", cartId: "cart_1", cartVersion: 1, policy };
  const [snapshot] = initialTransition(checkoutMachine, input);
  const view = viewOf(snapshot, 0);
  expect(view).toMatchObject({
    executionContextId: "ctx_1",
    seq: 0,
    path: "INITIALIZED",
    state: "INITIALIZED",
    status: "PROCESSING",
  });
  expect(view.context).toEqual(newContext());
});

describe("the status", () => {
  it.each([
    ["INITIALIZED", "PROCESSING"],
    ["PROCESSING.opening.pinningFlags.running", "PROCESSING"],
    ["PROCESSING.STEP_3.backingOff", "PROCESSING"],
    ["PROCESSING.STEP_8.producing.running", "PROCESSING"],
    ["PROCESSING.STEP_8.settling.awaitingPayment", "AWAITING_PAYMENT"],
    ["PROCESSING.STEP_8.settling.requestingAttempt.running", "AWAITING_PAYMENT"],
    ["PROCESSING.STEP_8.asking.running", "AWAITING_PAYMENT"],
    ["PROCESSING.STEP_8.confirming.running", "PROCESSING"],
    ["PROCESSING.STEP_8.producingConfirmed.running", "PROCESSING"],
    ["PROCESSING.undoing.order.running", "ROLLING_BACK"],
    ["PROCESSING.undoing.deferred.running", "ROLLING_BACK"],
    ["COMPLETED.atRest", "CONFIRMED"],
    ["COMPLETED.refunding.running", "CONFIRMED"],
    ["ROLLEDBACK.atRest", "ROLLED_BACK"],
    ["ROLLEDBACK.refunding.running", "ROLLED_BACK"],
  ])("of %s is %s", (path, status) => {
    expect(viewAt(path).status).toBe(status);
  });

  it.each(["confirming", "producingConfirmed", "asking"])("of %s asks an operator after its last quiet try", (state) => {
    const path = `PROCESSING.STEP_8.${state}.backingOff`;
    expect(viewAt(path, failing(policy.undoRetryMax)).status).not.toBe("NEEDS_ATTENTION");
    expect(viewAt(path, failing(policy.undoRetryMax + 1)).status).toBe("NEEDS_ATTENTION");
  });

  it("of a deferred undo that failed again asks an operator at once", () => {
    expect(viewAt("PROCESSING.undoing.deferred.backingOff", failing(1)).status).toBe("NEEDS_ATTENTION");
  });

  it("of a step that keeps failing stays as it is: steps give up by themselves", () => {
    expect(viewAt("PROCESSING.STEP_3.backingOff", failing(50)).status).toBe("PROCESSING");
  });
});
