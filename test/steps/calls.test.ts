/** What steps hand to the participants whom they call, beside the machine's own input. */
import { expect, test } from "vitest";
import { UNDO_ORDER } from "../../machines/context.ts";
import type { ActorName } from "../../machines/step-inputs.ts";
import type { StepStart } from "../../runtime/engine.ts";
import { checkoutExecutions } from "../../steps/actors.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import { documentedRequest } from "../services/checkouts.ts";
import { captureOf, success } from "../support/checkout-context.ts";
import { DUE, MachineRun } from "../machines/machine-run.ts";

const NOW = 1_000;
/** As much of every answer as any step reads. */
const ANSWER = { lineItems: [], captures: [], refunds: [], conflicts: [], pcrId: "pcr_1", dueAt: NOW };
/** Reads: there is nothing to stop. */
const READS = new Set(["resolve", "getPaymentStatus"]);

type Call = { readonly name: string; readonly signal?: AbortSignal; readonly dueAt?: number };

/** The calls that one step makes. */
async function callsOf({ src, input }: StepStart, signal: AbortSignal): Promise<readonly Call[]> {
  const calls: Call[] = [];
  const service = new Proxy(
    {},
    {
      get: (_target, name) => async (call: object) => (calls.push({ ...call, name: String(name) }), ANSWER),
    },
  );
  const services = new Proxy({}, { get: () => service }) as CheckoutServices;
  const clock = { now: () => NOW, monotonic: () => NOW, after: () => () => {} };
  const { expectedTotal: _, ...request } = documentedRequest();
  const requests = { load: async () => request };
  const executions = checkoutExecutions({ services, requests, clock }, async () => ({ tokens: {} }));
  await (executions[src as ActorName] as (input: unknown, signal: AbortSignal) => Promise<unknown>)(input, signal);
  return calls;
}

const attempting = MachineRun.at("awaitingPayment").send({
  type: "ATTEMPT_PAYMENT",
  method: "CARD",
  instrumentId: "ins_1",
} as never);
const asking = MachineRun.at("awaitingPayment").ring("paymentDeadline");
const confirming = MachineRun.at("awaitingPayment").send(success("psr_1", { amount: DUE }));
const refunding = MachineRun.at("awaitingPayment")
  .send(success("psr_1", { amount: DUE }))
  .done({ captures: [captureOf("psr_1", DUE), captureOf("psr_2", DUE)] })
  .done({});
const undone = UNDO_ORDER.toReversed().map((name) => {
  const run = MachineRun.at("awaitingPayment").send({ type: "CANCEL" });
  while (run.running.id !== `undo:${name}`) run.done({ pcrId: null, refunds: [], conflicts: [] });
  return run;
});
const inSteps = ["creatingPaymentGroups", "STEP_1", "STEP_2", "STEP_3", "STEP_4", "STEP_5", "STEP_6", "STEP_7"].map((id) =>
  MachineRun.at(id),
);

test.each(
  [...inSteps, attempting, asking, confirming, refunding, ...undone].map(({ running }) => [running.id, running] as const),
)("%s can be stopped: each of its calls has the signal", async (_, step) => {
  const { signal } = new AbortController();
  const calls = (await callsOf(step, signal)).filter(({ name }) => !READS.has(name));
  for (const call of calls) expect(call, `${call.name} has the signal`).toMatchObject({ signal });
  if (step.id !== "undo:lineItemsUpdatedEvent") expect(calls.length).toBeGreaterThan(0);
});

test("a payment is due by the time its invoice expires", async () => {
  const { running } = MachineRun.at("STEP_5");
  const input = running.input as { readonly invoice: object };
  const dueBy = async (expiresAt: number) => {
    const step = { ...running, input: { ...input, invoice: { ...input.invoice, expiresAt } } };
    const calls = await callsOf(step, new AbortController().signal);
    return calls.find(({ name }) => name === "createPaymentRequest")?.dueAt;
  };
  expect(await dueBy(NOW + 1)).toBe(NOW + 1);
  expect(await dueBy(NOW + 1e9)).toBe(NOW + 900_000);
});
