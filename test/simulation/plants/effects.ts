/** What is asked of participants, under which keys, and what becomes of it. */
import { refundKey, stepKey } from "../../../machines/keys.ts";
import type { RollbackInput } from "../../../machines/step-inputs.ts";
import type { Executions } from "../../../steps/actors.ts";
import type { CheckoutServices, Payments } from "../../../steps/services.ts";
import type { Plant } from "../plant.ts";
import { replacing, type PlantedBug } from "./planted-bug.ts";

const keyPerTry: PlantedBug = {
  name: "an idempotency key per try",
  breaks: "a step that is tried again uses another key",
  plant: () => withKeysPerTry((name) => name !== "handleRollback" && name !== "refundCapture"),
};

const refundKeyPerTry: PlantedBug = {
  name: "a refund key per try",
  breaks: "a refund that is tried again uses another key",
  plant: () => withKeysPerTry((name) => name === "refundCapture"),
};

const refundKeyWithoutRound: PlantedBug = {
  name: "a refund key without its round",
  breaks: "a refund that the bank sent back is made again under the same key",
  plant: () => ({
    executions: (executions) => ({
      ...executions,
      refundCapture: (input, signal) => {
        const { executionContextId, owed } = input;
        return executions.refundCapture({ ...input, key: refundKey(executionContextId, owed.pspReference, 1) }, signal);
      },
    }),
  }),
  harmlessBecause: "the payment service knows that the refund of this key failed, and goes on under the next round's key itself",
};

const attemptKeyWithoutRound: PlantedBug = {
  name: "an attempt key without its round",
  breaks: "another payment attempt is asked for under the first one's key, and gets its answer",
  plant: () => ({
    executions: (executions) => ({
      ...executions,
      createPaymentAttempt: (input, signal) => {
        return executions.createPaymentAttempt({ ...input, key: stepKey(input.executionContextId, "STEP_5", 1) }, signal);
      },
    }),
  }),
};

const noTombstone: PlantedBug = {
  name: "no tombstone",
  breaks: "the undo of what never happened leaves nothing, so that the delayed call takes effect after all",
  plant: () => {
    const done = new Set<string>();
    return {
      ports: (world) => ({
        ...world,
        services: eachCall(world.services, (operation, key, call, name) => {
          if (name.startsWith("undo") && !done.has(`${operation} ${key}`)) return Promise.resolve({ conflicts: [] });
          if (operation === "reversePaymentRequest" && !done.has("createPaymentRequest " + key)) {
            return Promise.resolve({ pcrId: null, refunds: [] });
          }
          done.add(`${operation} ${key}`);
          return call();
        }),
      }),
    };
  },
};

const refundIsMadeUp: PlantedBug = {
  name: "a refund that nobody made",
  breaks: "a refund counts as made although the provider was never asked",
  plant: () => ({
    executions: (executions) => ({
      ...executions,
      refundCapture: async ({ owed }) => ({ ...owed, refundId: `rfd_${owed.pspReference}`, providerRefundId: null }),
    }),
  }),
};

const reversesWhatItKnows: PlantedBug = {
  name: "a reversal of what is known",
  breaks: "the reversal of a payment request gives back what the checkout has heard of, not what the provider holds",
  plant: () => ({
    ports: (world) => {
      const { payments } = world.services;
      const reversePaymentRequest: Payments["reversePaymentRequest"] = async (call) => {
        const pcrId = `pcr_${call.executionContextId}`;
        const report = await payments.cancelIfPending({ ...call, pcrId }).catch(() => null);
        if (report === null) return payments.reversePaymentRequest(call);
        const refunds = call.owed.map((owed) => {
          const key = refundKey(call.executionContextId, owed.pspReference, owed.round);
          return payments.refundCapture({ executionContextId: call.executionContextId, key, pcrId, owed });
        });
        return { pcrId, refunds: await Promise.all(refunds) };
      };
      return { ...world, services: { ...world.services, payments: replacing(payments, { reversePaymentRequest }) } };
    },
  }),
};

const undoesNothing: PlantedBug = {
  name: "an undo that does nothing",
  breaks: "the order's undo is noted and never asked for",
  plant: () => ({
    executions: (executions) => ({
      ...executions,
      handleRollback: async (input, signal) =>
        input.undo === "order" ? NOTHING_UNDONE : executions.handleRollback(input, signal),
    }),
  }),
};

const undoesForwards: PlantedBug = {
  name: "participants are undone forwards",
  breaks: "the journal says that undos go backwards; participants are asked for them all at the end, in the order of their steps",
  plant: () => {
    const kept = new Map<string, RollbackInput[]>();
    return {
      executions: (executions) => ({
        ...executions,
        handleRollback: async (input, signal) => {
          if (input.undo === "paymentRequest") return executions.handleRollback(input, signal);
          const ofCheckout = kept.get(input.executionContextId) ?? [];
          kept.set(input.executionContextId, [input, ...ofCheckout.filter(({ undo }) => undo !== input.undo)]);
          if (input.undo !== "paymentGroups") return NOTHING_UNDONE;
          for (const one of kept.get(input.executionContextId) ?? []) await executions.handleRollback(one, signal);
          return NOTHING_UNDONE;
        },
      }),
    };
  },
};

export const EFFECT_BUGS: readonly PlantedBug[] = [
  keyPerTry,
  refundKeyPerTry,
  refundKeyWithoutRound,
  attemptKeyWithoutRound,
  noTombstone,
  refundIsMadeUp,
  reversesWhatItKnows,
  undoesNothing,
  undoesForwards,
];

const NOTHING_UNDONE = { pcrId: null, refunds: [], conflicts: [] };

type Run = (input: { readonly key: string }, signal: AbortSignal) => Promise<unknown>;

/** The first try keeps its key, so that its undo finds it. */
function withKeysPerTry(isMeant: (name: string) => boolean): Plant {
  const tries = new Map<string, number>();
  return {
    executions: (executions) => {
      const wrapped = Object.entries(executions).map(([name, execute]) => {
        const run = execute as Run;
        const again: Run = (input, signal) => {
          const count = (tries.get(`${name} ${input.key}`) ?? 0) + 1;
          tries.set(`${name} ${input.key}`, count);
          return run(count === 1 ? input : { ...input, key: `${input.key}:${count}` }, signal);
        };
        return [name, isMeant(name) ? again : run];
      });
      return Object.fromEntries(wrapped) as Executions;
    },
  };
}

type Around = (operation: string, key: string, call: () => Promise<unknown>, name: string) => Promise<unknown>;

/** Each call of each service that carries a key; `operation` is the same for a call and its undo. */
function eachCall(services: CheckoutServices, around: Around): CheckoutServices {
  const wrapped = Object.entries(services).map(([service, port]) => {
    const calls = new Proxy(port as object, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...args: readonly { readonly key?: string }[]) => {
          const call = () => member.apply(target, args) as Promise<unknown>;
          const key = args[0]?.key;
          return key === undefined ? call() : around(operationOf(String(name)), key, call, String(name));
        };
      },
    });
    return [service, calls];
  });
  return Object.fromEntries(wrapped) as CheckoutServices;
}

function operationOf(name: string): string {
  return name.startsWith("undo") ? name.charAt(4).toLowerCase() + name.slice(5) : name;
}
