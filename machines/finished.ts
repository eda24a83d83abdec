/** An end of the diagram: at rest, and giving back money that arrives too late. Status and cart stay as they are. */
import { inputs } from "./step-inputs.ts";
import { insisted } from "./shapes.ts";
import { checkoutSetup } from "./vocabulary.ts";

export function finished(refines: "COMPLETED" | "ROLLEDBACK") {
  const record = refines === "COMPLETED" ? "recordPaymentNews" : "recordLateCapture";
  const owes = refines === "COMPLETED" ? "owesAfterNews" : "owesLateCapture";
  return checkoutSetup.createStateConfig({
    meta: { refines },
    tags: ["finished"],
    entry: refines === "COMPLETED" ? "announceCompleted" : "announceRolledBack",
    initial: "atRest",
    on: { payment_collection_requirement_failed: {}, payment_collection_requirement_expired: {} },
    states: {
      atRest: {
        meta: { refines },
        on: {
          payment_collection_requirement_success: [{ guard: owes, target: "refunding", actions: record }, {}],
          payment_refund_failed: [
            {
              guard: "refundFailed",
              target: `#checkout.${refines}.refunding.backingOff`,
              actions: ["takeBackRefund", "backOffAfterBounce"],
            },
            {},
          ],
        },
      },
      refunding: insisted(refines, {
        id: "refunding",
        src: "refundCapture",
        input: ({ context }) => inputs.refundCapture(context),
        onDone: [
          {
            guard: "owesFresh",
            target: `#checkout.${refines}.refunding`,
            reenter: true,
            actions: ["keepRefund", "takeFreshFirst"],
          },
          // What is left the bank sent back, perhaps before this reply came: each round waits longer.
          {
            guard: "owesMore",
            target: `#checkout.${refines}.refunding.backingOff`,
            actions: ["keepRefund", "backOffAfterBounce"],
          },
          { target: `#checkout.${refines}.atRest`, actions: "keepRefund" },
        ],
        on: {
          payment_collection_requirement_success: { actions: record },
          payment_refund_failed: [{ guard: "refundFailed", actions: "takeBackRefund" }, {}],
        },
        whileBackingOff: {
          payment_collection_requirement_success: [
            { guard: owes, target: `#checkout.${refines}.refunding`, reenter: true, actions: [record, "takeFreshFirst"] },
            {},
          ],
          RESOLVE: [
            { guard: "resolvesAll", target: `#checkout.${refines}.atRest`, actions: "keepResolution" },
            { guard: "resolves", target: `#checkout.${refines}.refunding`, reenter: true, actions: "keepResolution" },
          ],
        },
      }),
    },
  });
}
