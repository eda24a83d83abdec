/**
 * The specification's state diagram, as the program. Documented states keep their names and order; every
 * node says in `meta.refines` which documented state it refines, and a test proves that, so contracted,
 * exactly the documented states and edges remain. Pure: what to do is decided here, done elsewhere.
 *
 * There is no `always` and no inline effect: each transition is committed before the next step acts.
 */
import { initialContext } from "./context.ts";
import { finished } from "./finished.ts";
import { settlement } from "./settlement.ts";
import { early, retried, toUndo } from "./shapes.ts";
import { inputs, stepInput } from "./step-inputs.ts";
import { undoing } from "./undoing.ts";
import { checkoutSetup } from "./vocabulary.ts";

export const checkoutMachine = checkoutSetup.createMachine({
  id: "checkout",
  version: "1.0.0",
  context: ({ input }) => initialContext(input),
  initial: "INITIALIZED",
  states: {
    INITIALIZED: {
      meta: { refines: "INITIALIZED" },
      on: { START: { target: "PROCESSING", actions: "announceInitiated", description: "Start orchestration" } },
    },

    PROCESSING: {
      meta: { refines: "PROCESSING" },
      initial: "opening",
      states: {
        opening: {
          meta: { refines: "PROCESSING" },
          initial: "pinningFlags",
          states: {
            pinningFlags: retried("PROCESSING", {
              id: "pinningFlags",
              src: "resolveFeatureFlags",
              input: ({ context }) => stepInput(context, "resolveFeatureFlags"),
              onDone: { target: "#checkout.PROCESSING.opening.creatingPaymentGroups", actions: "keepFlags" },
              // Nothing has been done yet, so there is nothing to undo.
              onFailed: "#checkout.ROLLEDBACK",
            }),
            creatingPaymentGroups: retried("PROCESSING", {
              id: "creatingPaymentGroups",
              src: "createPaymentGroup",
              input: ({ context }) => stepInput(context, "createPaymentGroup"),
              onDone: { target: "#checkout.PROCESSING.opening.acquiringLocks", actions: "keepPaymentGroups" },
              onFailed: toUndo("paymentGroups"),
            }),
            acquiringLocks: retried("PROCESSING", {
              id: "acquiringLocks",
              src: "acquireLocks",
              input: ({ context }) => inputs.acquireLocks(context),
              onDone: { target: "#checkout.PROCESSING.STEP_1", actions: "stepDone", description: "Create preferences" },
              onFailed: toUndo("paymentGroups"),
            }),
          },
        },

        STEP_1: retried("STEP_1", {
          id: "STEP_1",
          src: "createPostSellingPreferences",
          input: ({ context }) => stepInput(context, "STEP_1"),
          onDone: { target: "#checkout.PROCESSING.STEP_2", actions: "keepPreferences", description: "Get invoice" },
          onFailed: toUndo("preferences"),
        }),

        STEP_2: retried("STEP_2", {
          id: "STEP_2",
          src: "getLineItemSummary",
          input: ({ context }) => inputs.getLineItemSummary(context),
          onDone: { target: "#checkout.PROCESSING.STEP_3", actions: "keepInvoice", description: "Create checkout order" },
          onFailed: toUndo("invoice"),
        }),

        STEP_3: retried("STEP_3", {
          id: "STEP_3",
          src: "createCheckoutOrder",
          input: ({ context }) => inputs.createCheckoutOrder(context),
          onDone: { target: "#checkout.PROCESSING.STEP_4", actions: "keepOrder", description: "Handle opt-in" },
          onFailed: toUndo("order"),
        }),

        STEP_4: retried("STEP_4", {
          id: "STEP_4",
          src: "handleOptinCreationAndModification",
          input: ({ context }) => stepInput(context, "STEP_4"),
          onDone: { target: "#checkout.PROCESSING.STEP_5", actions: "keepOptIns", description: "Upsert line items" },
          onFailed: toUndo("optIns"),
        }),

        STEP_5: retried("STEP_5", {
          id: "STEP_5",
          src: "upsertLineItemsAndCreatePaymentRequest",
          input: ({ context }) => inputs.upsertLineItemsAndCreatePaymentRequest(context),
          onDone: { target: "#checkout.PROCESSING.STEP_6", actions: "keepLineItemsAndPayment", description: "Hydrate payments" },
          onFailed: toUndo("paymentRequest"),
        }),

        STEP_6: retried("STEP_6", {
          id: "STEP_6",
          src: "hydratePaymentAndUpdateLineItems",
          input: ({ context }) => inputs.hydratePaymentAndUpdateLineItems(context),
          onDone: { target: "#checkout.PROCESSING.STEP_7", actions: "stepDone", description: "Create mapping" },
          onFailed: toUndo("paymentHydration"),
          on: early,
        }),

        STEP_7: retried("STEP_7", {
          id: "STEP_7",
          src: "createPreferencesToLineItemsMapping",
          input: ({ context }) => inputs.createPreferencesToLineItemsMapping(context),
          onDone: { target: "#checkout.PROCESSING.STEP_8", actions: "stepDone", description: "Produce event" },
          onFailed: toUndo("preferencesMapping"),
          on: early,
        }),

        STEP_8: settlement,
        undoing,
      },
    },

    COMPLETED: finished("COMPLETED"),
    ROLLEDBACK: finished("ROLLEDBACK"),
  },
});

export type CheckoutMachine = typeof checkoutMachine;
