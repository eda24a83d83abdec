/** Deadlines, and what a node that stops leaves to the next one (hard cases 19 and 24). */
import { afterEach, expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate } from "../support/payment-desk.ts";
import { startService, type Service, type ServiceOptions } from "../support/service.ts";
import { onEveryBackend, onServers } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";

const DEADLINE_MS = 400;
/** Just beyond what a node keeps in memory, so that the checkout rests in the database alone. */
const RESTING_DEADLINE_MS = 5_200;

const started: Service[] = [];
afterEach(() => Promise.all(started.splice(0).map((service) => service.stop())));

const starter = (stage: () => Parameters<typeof startService>[0]) => async (options: ServiceOptions) => {
  const service = await startService(stage(), options);
  started.push(service);
  return service;
};

onEveryBackend("deadlines and restarts", (stage, kind) => {
  const start = starter(stage);

  test("at the deadline the provider is asked, the payment cancelled and everything undone", async () => {
    const interference = new Interference();
    const service = await start({ aroundServices: interference.around, policy: { paymentDeadlineMs: DEADLINE_MS } });
    const { executionContextId } = (await service.initiate(order("ins_async"))).checkout();
    const checkout = await service.reaches(executionContextId, "ROLLED_BACK");
    expect(checkout).toMatchObject({
      lastError: { code: "PAYMENT_EXPIRED" },
      payment: { status: "CANCELLED", capturedAmount: 0, nextAction: null },
    });
    expect(interference.countOf(executionContextId, "cancelIfPending")).toBe(1);
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    const charges = await service.rows("select status from checkoutd.provider_charges where context_id = $1", [
      executionContextId,
    ]);
    expect(charges).toEqual([{ status: "cancelled" }]);
  });

  test.runIf(kind === "postgres")(
    "paid two seconds after it was cancelled: refunded once, the order is not resurrected (hard case 17)",
    async () => {
      const service = await start({ policy: { paymentDeadlineMs: DEADLINE_MS } });
      const { executionContextId } = (await service.initiate(order("ins_late"))).checkout();
      await service.reaches(executionContextId, "ROLLED_BACK");
      await eventually(() => {
        const refunds = service.delivered(executionContextId).filter(({ type }) => type === "checkout.v1.payment_refunded");
        expect(refunds.map(({ data }) => [data["reason"], data["amount"]])).toEqual([["LATE", 249_900]]);
      });
      expect(await moneyOf(stage().database, executionContextId)).toEqual({ captures: 1, net: 0 });
      expect((await service.get(executionContextId)).checkout()).toMatchObject({
        status: "ROLLED_BACK",
        payment: { status: "REFUNDED", capturedAmount: 249_900, refundedAmount: 249_900 },
      });
      expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    },
  );

  test("a deadline that passes while no node runs fires once on the next one (hard case 24)", async () => {
    const first = await start({ policy: { paymentDeadlineMs: DEADLINE_MS } });
    const { executionContextId } = (await first.initiate(order("ins_async"))).checkout();
    await first.stop();
    const interference = new Interference();
    const second = await start({ aroundServices: interference.around });
    await second.reaches(executionContextId, "ROLLED_BACK");
    expect(interference.countOf(executionContextId, "cancelIfPending")).toBe(1);
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
  });

  test("a step in flight when its node stops is repeated under its key by the next one", async () => {
    const interference = new Interference();
    const held = gate();
    const first = await start({ aroundServices: interference.around, requestWaitMs: 0 });
    interference.after.set("createCheckoutOrder", held.pass);
    const { executionContextId = "" } = (await first.initiate(order())).problem();
    await held.reached;
    const second = await start({});
    await first.stop();
    await second.reaches(executionContextId, "CONFIRMED");
    held.open();
    const orders = await second.rows("select status from checkoutd.checkout_orders where context_id = $1", [executionContextId]);
    expect(orders).toEqual([{ status: "CONFIRMED" }]);
    expect(await moneyOf(stage().database, executionContextId)).toEqual({ captures: 1, net: 249_900 });
  });

  test("a backoff goes on after a restart, and the client joins by its key", async () => {
    const interference = new Interference();
    const first = await start({ aroundServices: interference.around });
    interference.before.set("upsertLineItems", () => Promise.reject(new TransientError("UNAVAILABLE", "Not now.")));
    const body = order();
    const key = `backoff-${stage().kind}`;
    const { executionContextId = "" } = (await first.initiate(body, { key, wait: 0 })).problem();
    await eventually(() => expect(interference.countOf(executionContextId, "upsertLineItems")).toBeGreaterThan(0));
    await first.stop();
    const second = await start({});
    expect((await second.initiate(body, { key })).checkout()).toMatchObject({ executionContextId, status: "CONFIRMED" });
  });

  test("an undo under way when its node stops is taken up by the next one, and nothing is undone twice", async () => {
    const interference = new Interference();
    const held = gate();
    const first = await start({ aroundServices: interference.around, requestWaitMs: 0 });
    interference.before.set("undoHandleOptinCreationAndModification", held.pass);
    const { executionContextId = "" } = (await first.initiate(order("ins_unknown"))).problem();
    await held.reached;
    await first.stop();
    const rest = new Interference();
    const second = await start({ aroundServices: rest.around });
    await second.reaches(executionContextId, "ROLLED_BACK");
    expect(rest.undosOf(executionContextId)[0]).toBe("undoHandleOptinCreationAndModification");
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    held.open();
  });

  test("events that were committed and not published go out after the restart, in order (hard case 22)", async () => {
    const first = await start({ aroundStore: (store) => Object.assign(Object.create(store), { unpublished: async () => [] }) });
    const { executionContextId } = (await first.initiate(order())).checkout();
    expect(first.delivered(executionContextId)).toEqual([]);
    await first.stop();
    const second = await start({});
    await eventually(() => expect(second.delivered(executionContextId)).toHaveLength(4));
    expect(second.delivered(executionContextId).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });
});

onServers("a resting checkout", (stage) => {
  const start = starter(stage);

  test("has no owner while it waits, and its deadline fires on whichever node runs then", async () => {
    const first = await start({ policy: { paymentDeadlineMs: RESTING_DEADLINE_MS } });
    const { executionContextId } = (await first.initiate(order("ins_async"))).checkout();
    const [row] = await first.rows<{ owner: string | null; waits: boolean }>(
      "select owner, wake_at > now() as waits from checkoutd.contexts where id = $1",
      [executionContextId],
    );
    expect(row).toEqual({ owner: null, waits: true });
    await first.stop();
    const nodes = await Promise.all([start({}), start({})]);
    await nodes[0].reaches(executionContextId, "ROLLED_BACK");
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    expect(nodes.map(({ counters }) => counters.get("checkouts_parked"))).toEqual([0, 0]);
  });
});
