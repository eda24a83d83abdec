/** What the database keeps is plain XState: a snapshot finishes its checkout under `createActor`, without our runtime. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createActor, waitFor } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import { dehydrate, toPlainJson } from "../../runtime/engine.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate, successEvent } from "../support/payment-desk.ts";
import { VERSIONS } from "../../machines/released/registry.ts";
import { refold } from "../../runtime/journal-fold.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";

type Persisted = ReturnType<typeof checkoutMachine.getPersistedSnapshot>;
const PATIENCE = { timeout: 10_000 };
const ENTRIES_MAX = 1_000;

onEveryBackend("snapshots", (stage) => {
  const interference = new Interference();
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: interference.around, requestWaitMs: 0 });
  });
  afterEach(() => interference.clear());
  afterAll(() => service.stop());

  /** A live actor over the same participants, from a snapshot exactly as it was stored. */
  function revived(snapshot: unknown) {
    const machine = checkoutMachine.provide({ actors: service.actors });
    return createActor(machine, { snapshot: snapshot as Persisted } as Parameters<typeof createActor<typeof machine>>[1]);
  }

  /** A checkout that a node left behind while that operation was in flight; nobody else goes on with it. */
  async function abandonedAt(operation: string, instrumentId: string): Promise<string> {
    const own = new Interference();
    const held = gate();
    own.before.set(operation, held.pass);
    const node = await startService(stage(), { aroundServices: own.around, requestWaitMs: 0 });
    const { executionContextId = "" } = (await node.initiate(order(instrumentId))).problem();
    await held.reached;
    // Parked, so that no node takes it up.
    await node.rows("update checkoutd.contexts set parked_reason = 'finished by a test' where id = $1", [executionContextId]);
    await node.stop();
    return executionContextId;
  }

  async function storedSnapshot(id: string): Promise<unknown> {
    const [row] = await stage().database.rows<{ snapshot: unknown }>(
      "select snapshot from checkoutd.snapshots where context_id = $1",
      [id],
    );
    return row?.snapshot;
  }

  test("stored when the checkout was created: runs every step to the end", async () => {
    const id = await abandonedAt("resolve", "ins_sync_ok");
    const actor = revived(await storedSnapshot(id)).start();
    actor.send({ type: "START" });
    await waitFor(actor, (snapshot) => snapshot.matches("COMPLETED"), PATIENCE);
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: 249_900 });
    actor.stop();
  });

  test("stored while the payment is awaited: the payment's event confirms it", async () => {
    const { executionContextId: id } = (await service.initiate(order("ins_async"), { wait: 10 })).checkout();
    const actor = revived(await storedSnapshot(id)).start();
    expect(actor.getSnapshot().hasTag("awaitingPayment")).toBe(true);
    const [pcr] = await service.rows<{ id: string }>(
      "select id from checkoutd.payment_collection_requirements where context_id = $1",
      [id],
    );
    const { data } = successEvent(pcr?.id ?? "", "psr_plain");
    actor.send({ type: "payment_collection_requirement_success", data });
    await waitFor(actor, (snapshot) => snapshot.matches("COMPLETED"), PATIENCE);
    const orders = await service.rows("select status from checkoutd.checkout_orders where context_id = $1", [id]);
    expect(orders).toEqual([{ status: "CONFIRMED" }]);
    actor.stop();
  });

  test("stored while the payment is awaited: a cancel undoes everything", async () => {
    const { executionContextId: id } = (await service.initiate(order("ins_async"), { wait: 10 })).checkout();
    const actor = revived(await storedSnapshot(id)).start();
    actor.send({ type: "CANCEL" });
    await waitFor(actor, (snapshot) => snapshot.matches("ROLLEDBACK"), PATIENCE);
    // The cart and the groups are the runtime's own rows; the effects are gone.
    expect((await leftovers(stage().database, id)).filter((left) => !left.startsWith("busy"))).toEqual([]);
    actor.stop();
  });

  test.each([
    "createPaymentGroup",
    "createPostSellingPreferences",
    "createCheckoutOrder",
    "upsertLineItems",
    "createPaymentRequest",
    "createPreferencesToLineItemsMapping",
    "settleLineItems",
  ])("folded from the journal while %s was in flight: the step starts again and the checkout is confirmed", async (operation) => {
    const id = await abandonedAt(operation, "ins_sync_ok");
    const last = [...refold(VERSIONS, id, await service.store.history(id, 0, ENTRIES_MAX))].at(-1);
    if (last === undefined) throw new Error("The journal is empty.");
    const actor = revived(toPlainJson(dehydrate(checkoutMachine, last.snapshot))).start();
    await waitFor(actor, (snapshot) => snapshot.matches("COMPLETED"), PATIENCE);
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: 249_900 });
    const orders = await service.rows("select status from checkoutd.checkout_orders where context_id = $1", [id]);
    expect(orders).toEqual([{ status: "CONFIRMED" }]);
    actor.stop();
  });

  test("folded from the journal in the middle of a rollback: the rest is undone", async () => {
    const id = await abandonedAt("undoCreateCheckoutOrder", "ins_unknown");
    const last = [...refold(VERSIONS, id, await service.store.history(id, 0, ENTRIES_MAX))].at(-1);
    if (last === undefined) throw new Error("The journal is empty.");
    const actor = revived(toPlainJson(dehydrate(checkoutMachine, last.snapshot))).start();
    await waitFor(actor, (snapshot) => snapshot.matches("ROLLEDBACK"), PATIENCE);
    await eventually(async () => {
      expect((await leftovers(stage().database, id)).filter((left) => !left.startsWith("busy"))).toEqual([]);
    });
    actor.stop();
  });
});
