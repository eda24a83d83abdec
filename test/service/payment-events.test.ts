/** Payment events through the inbox: early, late, repeated and all at once (hard cases 16 to 18). */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Store } from "../../persistence/store.ts";
import type { CheckoutBody } from "../../server/response-schema.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate, successEvent } from "../support/payment-desk.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend, onServers } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";

/** Through the door: signed, booked at the provider, kept, told. Each delivery is an event of its own. */
async function arrive(service: Service, event: ReturnType<typeof successEvent>) {
  const answer = await service.deliverPayment({ ...event, data: { ...event.data, eventId: randomUUID() } });
  expect(answer).toMatchObject({ status: 200 });
}

const pcrOf = (checkout: CheckoutBody) => checkout.payment.pcrId ?? "";
const typesOf = (service: Service, id: string) => service.delivered(id).map(({ type }) => type.replace("checkout.v1.", ""));

onEveryBackend("payment events", (stage) => {
  const interference = new Interference();
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: interference.around });
  });
  afterAll(() => service.stop());

  test("the same success three times at once settles once", async () => {
    const checkout = (await service.initiate(order("ins_async"))).checkout();
    const event = successEvent(pcrOf(checkout), "psr_thrice");
    await Promise.all([1, 2, 3].map(() => arrive(service, event)));
    await service.reaches(checkout.executionContextId, "CONFIRMED");
    await eventually(() => expect(typesOf(service, checkout.executionContextId)).toHaveLength(4));
    expect(typesOf(service, checkout.executionContextId)).not.toContain("payment_refunded");
    await eventually(async () => expect(await service.store.unconsumed(checkout.executionContextId)).toEqual([]));
  });

  test("an event under a known id is told apart from a repetition when it says something else, and changes nothing", async () => {
    const checkout = (await service.initiate(order("ins_async"))).checkout();
    const event = successEvent(pcrOf(checkout), "psr_contradicted");
    const contradictions = () => service.counters.get("payment_events_contradictory");
    const before = contradictions();
    for (const status of ["STORED", "DUPLICATE"]) {
      expect(await service.deliverPayment(event)).toMatchObject({ status: 200, text: `{"status":"${status}"}` });
    }
    expect(contradictions()).toBe(before);
    const other = { ...event, data: { ...event.data, amount: event.data.amount + 1 } };
    expect(await service.deliverPayment(other)).toMatchObject({ status: 200, text: '{"status":"DUPLICATE"}' });
    expect(contradictions()).toBe(before + 1);
    expect(service.logged).toContainEqual(expect.stringContaining("came again with another content"));
    await service.reaches(checkout.executionContextId, "CONFIRMED");
    // Another payment by its words: the provider would hold what the checkout never hears of.
    const contradicting = { ...event, data: { ...event.data, pspReference: "psr_contradicting" } };
    expect(await service.deliverPayment(contradicting)).toMatchObject({ status: 200, text: '{"status":"DUPLICATE"}' });
    expect(contradictions()).toBe(before + 2);
    expect(await moneyOf(stage().database, checkout.executionContextId)).toEqual({ captures: 1, net: 249_900 });
  });

  test("a success during STEP_6 confirms strictly after the line items were updated", async () => {
    const held = gate();
    interference.before.set("hydratePaymentAndUpdateLineItems", held.pass);
    const pending = service.initiate(order("ins_async"));
    await held.reached;
    const [pcr] = await service.rows<{ id: string; executionContextId: string }>(
      `select id, context_id as "executionContextId" from checkoutd.payment_collection_requirements order by created_at desc limit 1`,
    );
    if (pcr === undefined) throw new Error("STEP_6 runs, so STEP_5 left a payment request.");
    await arrive(service, successEvent(pcr.id, "psr_early"));
    interference.clear();
    held.open();
    expect((await pending).checkout()).toMatchObject({ status: "CONFIRMED" });
    await eventually(() => expect(typesOf(service, pcr.executionContextId)).toHaveLength(4));
    expect(typesOf(service, pcr.executionContextId).slice(1, 3)).toEqual(["line_items_updated", "line_items_confirmed"]);
  });

  test("a success that arrives before STEP_5 has told us of the payment is kept and applied when it has", async () => {
    const held = gate();
    interference.after.set("createPaymentRequest", held.pass);
    const pending = service.initiate(order("ins_async"));
    await held.reached;
    const [pcr] = await service.rows<{ id: string; executionContextId: string }>(
      `select id, context_id as "executionContextId" from checkoutd.payment_collection_requirements order by created_at desc limit 1`,
    );
    if (pcr === undefined) throw new Error("STEP_5 runs, so there is a payment request.");
    await arrive(service, successEvent(pcr.id, "psr_very_early"));
    expect(await service.store.unconsumed(pcr.executionContextId)).toEqual([]);
    interference.clear();
    held.open();
    expect((await pending).status).toBe(200);
    await service.reaches(pcr.executionContextId, "CONFIRMED");
  });

  test.each([
    { what: "less", amount: 249_899 },
    { what: "more", amount: 249_901 },
  ])("a success with $what than is due never confirms (hard case 18)", async ({ what, amount }) => {
    const checkout = (await service.initiate(order("ins_async"))).checkout();
    await arrive(service, successEvent(pcrOf(checkout), `psr_${what}`, amount));
    await eventually(async () => {
      const now = (await service.get(checkout.executionContextId)).checkout();
      expect(now).toMatchObject({ status: "AWAITING_PAYMENT", payment: { status: "DECLINED", capturedAmount: amount } });
    });
  });

  test("another attempt after a decline is made on the same payment request, charged once, and confirms", async () => {
    const declined = (await service.initiate(order("ins_decline"))).checkout();
    expect(declined.payment).toMatchObject({ status: "DECLINED", attemptsLeft: 2 });
    const { executionContextId } = declined;
    expect((await service.pay(executionContextId, "ins_sync_ok")).status).toBe(200);
    const confirmed = await service.reaches(executionContextId, "CONFIRMED");
    expect(confirmed.payment).toMatchObject({ pcrId: pcrOf(declined), capturedAmount: 249_900, attemptsLeft: 1 });
    expect(confirmed.payment.attemptId).not.toBe(declined.payment.attemptId);
    expect(await moneyOf(stage().database, executionContextId)).toEqual({ captures: 1, net: 249_900 });
    await eventually(() => expect(typesOf(service, executionContextId)).toHaveLength(5));
    expect(typesOf(service, executionContextId).slice(2)).toEqual([
      "payment_failed",
      "line_items_confirmed",
      "checkout_completed",
    ]);
  });

  test("a cancelled checkout is undone, and cancelling it again changes nothing", async () => {
    const { executionContextId } = (await service.initiate(order("ins_async"))).checkout();
    expect((await service.cancel(executionContextId)).checkout()).toMatchObject({ status: "ROLLED_BACK" });
    expect((await service.cancel(executionContextId)).checkout()).toMatchObject({ status: "ROLLED_BACK" });
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
  });

  test("two wake-ups of a resting checkout: the later claim doesn't take it from the actor that the earlier one woke", async () => {
    const late = gate();
    let claims = 0;
    const node = await startService(stage(), {
      aroundStore: (store) => {
        const claim: Store["claim"] = async (id, nodeId) => {
          if (++claims === 2) await late.pass();
          return store.claim(id, nodeId);
        };
        return Object.assign(Object.create(store) as Store, { claim });
      },
    });
    onTestFinished(() => node.stop());
    const checkout = (await node.initiate(order("ins_async"))).checkout();
    const [first, second] = [1, 2].map(() => node.orchestrator.notify(checkout.executionContextId));
    await first;
    late.open();
    await second;
    await arrive(node, successEvent(pcrOf(checkout), "psr_awake"));
    await node.reaches(checkout.executionContextId, "CONFIRMED");
  });

  test("a checkout that was claimed and could not be loaded is taken up again, and its event is not lost", async () => {
    let failures = 0;
    const node = await startService(stage(), {
      aroundStore: (store) => {
        const load: Store["load"] = (id) =>
          failures-- > 0 ? Promise.reject(new Error("the connection was lost")) : store.load(id);
        return Object.assign(Object.create(store) as Store, { load });
      },
    });
    onTestFinished(() => node.stop());
    const checkout = (await node.initiate(order("ins_async"))).checkout();
    failures = 1;
    await arrive(node, successEvent(pcrOf(checkout), "psr_unloaded"));
    await node.reaches(checkout.executionContextId, "CONFIRMED");
  });

  test("an event that arrives while no node runs is applied by the next one", async () => {
    const first = await startService(stage());
    const checkout = (await first.initiate(order("ins_async"))).checkout();
    await first.stop();
    await service.stop();
    const { type, data } = successEvent(pcrOf(checkout), "psr_meanwhile");
    await new SqlStore(stage().database).receivePayment("simulator", randomUUID(), data.pcrId, { type, data });
    const receiver = await startService(stage());
    await receiver.reaches(checkout.executionContextId, "CONFIRMED");
    await receiver.stop();
  });
});

onServers("payment events on three nodes", (stage) => {
  let nodes: readonly Service[];
  beforeAll(async () => {
    nodes = await Promise.all([startService(stage()), startService(stage()), startService(stage())]);
  });
  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  test("the same success on each in the same instant settles once (hard case 16)", async () => {
    for (let round = 0; round < 5; round++) {
      const [first] = nodes;
      if (first === undefined) throw new Error("There are three nodes.");
      const checkout = (await first.initiate(order("ins_async"))).checkout();
      const event = successEvent(pcrOf(checkout), "psr_everywhere");
      await Promise.all(nodes.map((node) => arrive(node, event)));
      await first.reaches(checkout.executionContextId, "CONFIRMED");
      const confirmed = await first.rows(
        "select 1 from checkoutd.outbox where context_id = $1 and type in ('line_items_confirmed', 'payment_refunded')",
        [checkout.executionContextId],
      );
      expect(confirmed).toHaveLength(1);
    }
  });
});
