/** Whatever fails before the pivot, everything is undone in strict reverse and nothing is left over. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import { slotPreference } from "../services/checkouts.ts";
import { bookableDate, eventually, order, type Answer } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { leftovers, moneyOf, stockMismatches } from "../support/tables.ts";

/** The undos of domain.md's table that are calls, in the order in which they must be tried first. */
const UNDOS = [
  "undoCreatePreferencesToLineItemsMapping",
  "undoHydratePaymentAndUpdateLineItems",
  "reversePaymentRequest",
  "undoUpsertLineItems",
  "undoHandleOptinCreationAndModification",
  "undoCreateCheckoutOrder",
  "undoGetLineItemSummary",
  "undoCreatePostSellingPreferences",
  "undoCreatePaymentGroup",
] as const;

/** Each call of the steps, and the undo that its failure begins with: its own, for it counts as perhaps done. */
const FAILURES = [
  { operation: "createPaymentGroup", begins: "undoCreatePaymentGroup" },
  { operation: "createPostSellingPreferences", begins: "undoCreatePostSellingPreferences" },
  { operation: "getLineItemSummary", begins: "undoGetLineItemSummary" },
  { operation: "createCheckoutOrder", begins: "undoCreateCheckoutOrder" },
  { operation: "handleOptinCreationAndModification", begins: "undoHandleOptinCreationAndModification" },
  { operation: "upsertLineItems", begins: "reversePaymentRequest" },
  { operation: "lockPaymentGroups", begins: "reversePaymentRequest" },
  { operation: "createPaymentRequest", begins: "reversePaymentRequest" },
  { operation: "hydratePaymentAndUpdateLineItems", begins: "undoHydratePaymentAndUpdateLineItems" },
  { operation: "createPreferencesToLineItemsMapping", begins: "undoCreatePreferencesToLineItemsMapping" },
] as const;

const broken = () => Promise.reject(new TerminalError("BROKEN", "This participant is broken for good."));
const unavailable = () => Promise.reject(new TransientError("UNAVAILABLE", "This participant does not answer."));

onEveryBackend("rollback", (stage, kind) => {
  const interference = new Interference();
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: interference.around, policy: { stepRetryMax: 2 } });
  });
  afterEach(() => interference.clear());
  afterAll(() => service.stop());

  /** The id of a checkout that says it was rolled back, after looking that nothing of it is left. */
  async function expectUndone(answer: Answer): Promise<string> {
    const { executionContextId = "", rollback } = answer.problem();
    expect(rollback).toBe("DONE");
    expect((await service.get(executionContextId)).checkout()).toMatchObject({ status: "ROLLED_BACK", state: "ROLLEDBACK" });
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    expect(await stockMismatches(stage().database)).toEqual([]);
    expect((await moneyOf(stage().database, executionContextId)).net).toBe(0);
    return executionContextId;
  }

  const reasonOf = (id: string) =>
    eventually(() => {
      const last = service.delivered(id).at(-1);
      expect(last?.type).toBe("checkout.v1.checkout_rolled_back");
      return last?.data["reason"];
    });

  // Where nothing was done the database matters least: one of the two is enough.
  test.runIf(kind === "embedded").each(FAILURES)(
    "$operation fails before its effect: undone from there on, in strict reverse",
    async (failure) => {
      interference.before.set(failure.operation, broken);
      const answer = await service.initiate(order());
      expect(answer.problem()).toMatchObject({ status: 502, code: "STEP_FAILED", class: "TERMINAL", causeCode: "BROKEN" });
      const id = await expectUndone(answer);
      expect(interference.undosOf(id)).toEqual(UNDOS.slice(UNDOS.indexOf(failure.begins)));
      expect(await reasonOf(id)).toBe("BROKEN");
    },
  );

  test.each(FAILURES)(
    "$operation has its effect and its answer is an error: undone by its key (hard case 10)",
    async (failure) => {
      interference.after.set(failure.operation, broken);
      const id = await expectUndone(await service.initiate(order()));
      expect(interference.undosOf(id)).toEqual(UNDOS.slice(UNDOS.indexOf(failure.begins)));
      // Strict reverse, and none done twice.
      for (const undo of interference.undosOf(id)) expect(interference.countOf(id, undo)).toBe(1);
    },
  );

  test("flags that can't be resolved end the checkout with nothing to undo (hard case 14)", async () => {
    interference.before.set("resolve", broken);
    const answer = await service.initiate(order());
    expect(answer.problem()).toMatchObject({ code: "STEP_FAILED", rollback: "DONE" });
    expect(interference.undosOf(answer.problem().executionContextId ?? "")).toEqual([]);
    expect(await leftovers(stage().database, answer.problem().executionContextId ?? "")).toEqual([]);
  });

  test("another price than the customer saw: PRICE_CHANGED with the new invoice (hard case 5)", async () => {
    const answer = await service.initiate(order("ins_sync_ok", { expectedTotal: { amount: 249_899, currency: "INR" } }));
    expect(answer.problem()).toMatchObject({
      status: 409,
      code: "PRICE_CHANGED",
      invoice: { payable: 249_900, currency: "INR", expiresAt: expect.stringMatching(/Z$/) },
    });
    const id = await expectUndone(answer);
    expect(await reasonOf(id)).toBe("PRICE_CHANGED");
  });

  test("a slot sold out between validation and STEP_1 is a business rule; the place goes to one of two", async () => {
    const last = slotPreference("slot_1800", bookableDate(40));
    const rivals = await Promise.all([
      service.initiate(order("ins_async", { preferences: [last] })),
      service.initiate(order("ins_async", { preferences: [last] })),
    ]);
    const [loser, ...more] = rivals.filter(({ status }) => status !== 200);
    expect(more).toEqual([]);
    // Either looked before the other took it, or after: both are told of the slot.
    expect([400, 422]).toContain(loser?.status);
    interference.before.set("createPostSellingPreferences", () =>
      stage()
        .database.rows("insert into checkoutd.slot_stock values ('slot_1200', $1, 0, 0)", [bookableDate(41)])
        .then(() => undefined),
    );
    const answer = await service.initiate(order("ins_sync_ok", { preferences: [slotPreference("slot_1200", bookableDate(41))] }));
    expect(answer.problem()).toMatchObject({ status: 422, code: "BUSINESS_RULE" });
    await expectUndone(answer);
  });

  test("transient for ever: 503 within the wait, the same key joins, then one consistent end (hard case 11)", async () => {
    const body = order("ins_down");
    const first = await service.initiate(body, { key: `down-${stage().kind}`, wait: 0 });
    expect(first.problem()).toMatchObject({ status: 503, code: "RETRY_SCHEDULED", retryScheduled: true, rollback: "NONE" });
    expect(Number(first.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    const { executionContextId } = first.problem();
    const last = await service.initiate(body, { key: `down-${stage().kind}` });
    expect(last.problem()).toMatchObject({
      status: 502,
      code: "STEP_FAILED",
      causeCode: "PROVIDER_UNAVAILABLE",
      executionContextId,
    });
    await expectUndone(last);
  });

  test("an undo that fails for a while is deferred, the others go on, and it is retried until done (hard case 13)", async () => {
    interference.before.set("createPreferencesToLineItemsMapping", broken);
    interference.before.set("undoCreateCheckoutOrder", unavailable);
    const body = order();
    const key = `deferred-${stage().kind}`;
    const first = await service.initiate(body, { key, wait: 0 });
    expect(first.status).toBe(503);
    const { executionContextId = "" } = first.problem();
    // Everything else is undone; only the order is left, and the cart stays busy with it.
    await eventually(async () => {
      expect(await leftovers(stage().database, executionContextId)).toEqual([
        expect.stringMatching(/^live order/),
        expect.stringMatching(/^busy cart/),
        expect.stringMatching(/^busy payment group/),
        expect.stringMatching(/^busy payment group/),
      ]);
    });
    await service.reaches(executionContextId, "NEEDS_ATTENTION");
    const waiting = await service.initiate(body, { key, wait: 0 });
    expect(waiting.problem()).toMatchObject({ code: "STEP_FAILED", rollback: "NEEDS_ATTENTION" });
    interference.clear();
    await service.reaches(executionContextId, "ROLLED_BACK");
    await expectUndone(await service.initiate(body, { key }));
    expect(interference.undosOf(executionContextId)).toEqual([...UNDOS]);
    expect(service.delivered(executionContextId).map(({ type }) => type)).toContain("checkout.v1.checkout_needs_attention");
  });

  test("a decline on the last attempt takes back what was published: line_items_reverted", async () => {
    const user = { userId: `usr_one_attempt_${stage().kind}`, cityId: "BLR" };
    const id = await expectUndone(await service.initiate(order("ins_decline", { user })));
    await reasonOf(id);
    expect(service.delivered(id).map(({ type }) => type.replace("checkout.v1.", ""))).toEqual([
      "checkout_initiated",
      "line_items_updated",
      "payment_failed",
      "line_items_reverted",
      "checkout_rolled_back",
    ]);
  });
});
