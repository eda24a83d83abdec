/** The participants in memory, under the suite of their contract. */
import type { Bank, ParticipantsUnderTest } from "../conformance/participants-under-test.ts";
import { EffectBook } from "../simulation/effect-book.ts";
import { FakeParticipants } from "../simulation/fake-participants.ts";
import { FakePayments, type ChargeRequest, type ProviderBehaviour } from "../simulation/fake-payments.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";

const INSTRUMENTS = { pays: "pays", declines: "declines", waits: "waits" } as const satisfies Bank["instruments"];
const FATES: Readonly<Record<string, ReturnType<ProviderBehaviour["charge"]>>> = {
  pays: "CAPTURED",
  declines: "DECLINED",
  waits: "PENDING",
};

export async function memoryParticipants(): Promise<ParticipantsUnderTest> {
  const charged: ChargeRequest[] = [];
  const charge = (request: ChargeRequest) => {
    charged.push(request);
    return FATES[request.instrumentId] ?? "PENDING";
  };
  const payments = new FakePayments(new Map(), { charge, refunded: () => {} });
  const { services, effects } = new FakeParticipants(new VirtualClock(), new EffectBook(), payments);
  const sum = (moved: readonly { readonly amount: number }[]) => moved.reduce((total, { amount }) => total + amount, 0);
  return {
    services,
    bank: {
      instruments: INSTRUMENTS,
      capture: async ({ executionContextId, attemptId }, capture) => {
        payments.capture(executionContextId, { ...capture, attemptId });
      },
      decline: async ({ executionContextId, attemptId }) => payments.decline(executionContextId, attemptId),
      sendBack: async (executionContextId, { refundId }) => payments.failRefund(executionContextId, refundId),
      books: async (executionContextId) => {
        const { charges = [], captures = [], givenBack = [] } = payments.find(executionContextId) ?? {};
        const standing = givenBack.filter(({ hasFailed }) => !hasFailed).map(({ refund }) => refund);
        return {
          charges: charged.filter((request) => request.executionContextId === executionContextId).length,
          open: charges.filter(({ status }) => status === "PENDING").length,
          captured: sum(captures),
          refunded: sum(standing),
        };
      },
    },
    inForce: async (operation, executionContextId) => {
      const made = effects.of(executionContextId).filter((effect) => effect.operation === operation);
      return made.filter(({ state }) => state !== "UNDONE").length;
    },
    close: async () => undefined,
  };
}
