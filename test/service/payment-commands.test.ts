/**
 * What clients ask of a payment and what its provider says, in every order (hard cases 16, 17, 19 and 20).
 * Races run on both databases, what only the machine decides on one.
 */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate, successEvent } from "../support/payment-desk.ts";
import { startService, type Service, type ServiceOptions } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";
import { deliver, failedEvent, heard, newestPayment, override, PAYABLE, rest, wrongsOf } from "../support/thread-desk.ts";

const DEADLINE_MS = 300;

onEveryBackend("payment commands", (stage, kind) => {
  const interference = new Interference();
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: interference.around });
  });
  afterEach(() => interference.clear());
  afterAll(() => service.stop());

  const start = async (options: ServiceOptions) => {
    const node = await startService(stage(), options);
    onTestFinished(() => node.stop());
    return node;
  };

  /** A checkout that waits for its payment. */
  async function awaiting(node = service, instrumentId = "ins_async") {
    const { executionContextId: id, payment } = (await node.initiate(order(instrumentId))).checkout();
    const { pcrId, attemptId } = payment;
    if (pcrId === null || attemptId === null) throw new Error("The payment was asked for.");
    return { id, pcrId, attemptId };
  }

  const refundsOf = (id: string) =>
    service.rows<{ reason: string; amount: number }>(
      `select data->>'reason' as reason, (data->>'amount')::int as amount from checkoutd.outbox
        where context_id = $1 and type = 'payment_refunded' order by event_seq`,
      [id],
    );
  const attemptsOf = (id: string) =>
    service.rows<{ round: number; pcrId: string }>(
      `select round, pcr_id as "pcrId" from checkoutd.payment_attempts where context_id = $1 order by round`,
      [id],
    );

  test.runIf(kind === "embedded")(
    "declined, then declined again until the last: the same payment request, then 422 PAYMENT_DECLINED, rolled back",
    async () => {
      const { id, pcrId } = await awaiting(service, "ins_decline");
      expect((await service.pay(id, "ins_decline")).checkout()).toMatchObject({
        payment: { pcrId, status: "DECLINED", attemptsLeft: 1 },
      });
      const last = await service.pay(id, "ins_decline");
      expect(last.problem()).toMatchObject({ status: 422, code: "PAYMENT_DECLINED", rollback: "DONE", executionContextId: id });
      expect(await attemptsOf(id)).toEqual([1, 2, 3].map((round) => ({ round, pcrId })));
      expect(await leftovers(stage().database, id)).toEqual([]);
      const one = await service.pay(id, "ins_sync_ok");
      expect(one.problem()).toMatchObject({ status: 409, code: "PAYMENT_NOT_EXPECTED" });
    },
  );

  test("an attempt that was captured while another one was asked for is the one that pays: 409 ALREADY_PAID", async () => {
    const { id, pcrId, attemptId } = await awaiting();
    const held = gate();
    interference.before.set("createPaymentAttempt", held.pass);
    const paying = service.pay(id, "ins_sync_ok");
    await held.reached;
    await deliver(service, successEvent(pcrId, "psr_first", PAYABLE, attemptId));
    held.open();
    expect((await paying).problem()).toMatchObject({ status: 409, code: "ALREADY_PAID" });
    expect(await wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 })).toEqual([]);
    expect(await attemptsOf(id)).toHaveLength(1);
  });

  test("an attempt under the same key twice, at once and once more later, is one attempt with one answer", async () => {
    const { id } = await awaiting(service, "ins_decline");
    const key = randomUUID();
    const [first, second] = await Promise.all([1, 2].map(() => service.pay(id, "ins_async", { key })));
    const third = await service.pay(id, "ins_async", { key });
    for (const answer of [first, second, third]) {
      expect(answer?.checkout()).toMatchObject({ status: "AWAITING_PAYMENT", payment: { attemptsLeft: 1 } });
    }
    expect(third.isReplayed).toBe(true);
    expect(await attemptsOf(id)).toHaveLength(2);
    const other = await service.pay(id, "ins_sync_ok", { key });
    expect(other.problem()).toMatchObject({ status: 422, code: "IDEMPOTENCY_KEY_REUSED" });
  });

  test.runIf(kind === "embedded")("after the pivot a cancellation is refused, and changes nothing", async () => {
    const { id, pcrId } = await awaiting();
    const held = gate();
    interference.before.set("recordSettlement", held.pass);
    await deliver(service, successEvent(pcrId, "psr_pivot"));
    await held.reached;
    expect((await service.cancel(id)).problem()).toMatchObject({ status: 409, code: "NOT_CANCELLABLE" });
    held.open();
    await rest(service, id);
    expect((await service.cancel(id)).problem()).toMatchObject({ status: 409, code: "NOT_CANCELLABLE" });
    expect(await wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 })).toEqual([]);
  });

  // A race is won by what the inbox has first; the provider's books are what both orders have to agree with.
  test("a success and a cancellation in the same instant: confirmed and kept, or rolled back and refunded", async () => {
    for (let round = 0; round < 4; round++) {
      const { id, pcrId } = await awaiting();
      const event = successEvent(pcrId, "psr_race");
      const calls = [() => deliver(service, event), () => service.cancel(id)] as const;
      const [first, second] = round % 2 === 0 ? calls : calls.toReversed();
      await Promise.all([first?.(), second?.()]);
      await rest(service, id);
      const isConfirmed = (await service.get(id)).checkout().status === "CONFIRMED";
      const ending = isConfirmed
        ? ({ status: "CONFIRMED", refunds: 0 } as const)
        : ({ status: "ROLLED_BACK", refunds: 1 } as const);
      expect(await wrongsOf(service, id, ending)).toEqual([]);
    }
  });

  test.runIf(kind === "embedded").each(["success first", "cancellation first"] as const)(
    "a success and a cancellation while a step runs, %s: rolled back, and the money goes back",
    async (which) => {
      const held = gate();
      interference.before.set("createPreferencesToLineItemsMapping", held.pass);
      const pending = service.initiate(order("ins_async"));
      await held.reached;
      const { id, pcrId } = await newestPayment(service);
      const success = () => deliver(service, successEvent(pcrId, "psr_queued"));
      const isPaidFirst = which === "success first";
      if (isPaidFirst) await success();
      if (isPaidFirst) await heard(service, id);
      const cancelling = service.cancel(id);
      await eventually(() => expect(interference.undosOf(id)).not.toEqual([]));
      if (!isPaidFirst) await success();
      held.open();
      await cancelling;
      await pending;
      // Before the pivot a cancellation wins, also over a success that was heard: its money goes back.
      expect(await wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
      expect(await leftovers(stage().database, id)).toEqual([]);
    },
  );

  test("a success that arrives while the payment's own undo runs is given back by it, or after it, once", async () => {
    const { id, pcrId } = await awaiting();
    const held = gate();
    interference.before.set("reversePaymentRequest", held.pass);
    const cancelling = service.cancel(id);
    await held.reached;
    await deliver(service, successEvent(pcrId, "psr_at_the_undo"));
    await heard(service, id);
    held.open();
    await cancelling;
    expect(await wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
    expect(await leftovers(stage().database, id)).toEqual([]);
  });

  test.runIf(kind === "embedded")(
    "3-DS abandoned: cancelled at the deadline; the user who comes back a minute later is refunded once, LATE",
    async () => {
      const node = await start({ policy: { paymentDeadlineMs: DEADLINE_MS } });
      const { id, pcrId, attemptId } = await awaiting(node);
      await node.reaches(id, "ROLLED_BACK");
      const event = successEvent(pcrId, "psr_a_minute_later", PAYABLE, attemptId);
      await Promise.all([deliver(node, event), deliver(node, event)]);
      expect(await wrongsOf(node, id, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
      expect(await refundsOf(id)).toEqual([{ reason: "LATE", amount: PAYABLE }]);
      expect((await node.get(id)).checkout()).toMatchObject({
        lastError: { code: "PAYMENT_EXPIRED" },
        payment: { status: "REFUNDED" },
      });
    },
  );

  test("the database is down: 5xx to the provider, who sends it again, and it is applied once", async () => {
    let isDown = false;
    const down = () => Promise.reject(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
    const node = await start({
      aroundStore: (store) => {
        const receivePayment: Store["receivePayment"] = (...event) => (isDown ? down() : store.receivePayment(...event));
        return override(store, { receivePayment });
      },
    });
    const { id, pcrId } = await awaiting(node);
    const event = successEvent(pcrId, "psr_down");
    isDown = true;
    expect((await node.deliverPayment(event)).problem()).toMatchObject({ status: 503 });
    expect(await node.rows("select 1 from checkoutd.inbox where pcr_id = $1", [pcrId])).toEqual([]);
    isDown = false;
    for (let times = 1; times <= 2; times++) expect((await node.deliverPayment(event)).status).toBe(200);
    expect(await wrongsOf(node, id, { status: "CONFIRMED", refunds: 0 })).toEqual([]);
    expect(await node.rows("select 1 from checkoutd.inbox where pcr_id = $1", [pcrId])).toHaveLength(1);
  });

  test.runIf(kind === "embedded")(
    "an event of a payment request that nobody knows is answered 200, kept, and applied when it appears",
    async () => {
      // The participant opens it, the machine hears of it later: to the inbox it is an id like any other.
      interference.after.set("createPaymentRequest", async () => {
        const { pcrId } = await newestPayment(service);
        await deliver(service, failedEvent(pcrId, "att_of_nobody"));
        await deliver(service, successEvent(pcrId, "psr_unknown"));
        expect(
          await service.rows("select 1 from checkoutd.inbox where pcr_id = $1 and consumed_seq is null", [pcrId]),
        ).toHaveLength(2);
      });
      const { executionContextId: id } = (await service.initiate(order("ins_async"))).checkout();
      expect(await wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 })).toEqual([]);
      // And one that never appears stays, and bothers nobody.
      await deliver(service, successEvent("pcr_nobody", "psr_nobody"));
      expect(await service.rows("select consumed_seq from checkoutd.inbox where pcr_id = $1", ["pcr_nobody"])).toEqual([
        { consumed_seq: null },
      ]);
    },
  );

  test.runIf(kind === "embedded")(
    "the ledger of a confirmed and of a cancelled payment sums to zero, with nothing in suspense",
    async () => {
      const { executionContextId: confirmed } = (await service.initiate(order())).checkout();
      const { id: cancelled, pcrId } = await awaiting();
      await service.cancel(cancelled);
      await deliver(service, successEvent(pcrId, "psr_ledger"));
      expect(await wrongsOf(service, cancelled, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
      const balancesOf = async (id: string) =>
        Object.fromEntries((await service.ledger(id)).balances.map(({ account, amount }) => [account, amount]));
      expect(await balancesOf(confirmed)).toEqual({ PROVIDER: PAYABLE, SUSPENSE: 0, ORDER: -PAYABLE });
      expect(await balancesOf(cancelled)).toEqual({ PROVIDER: 0, SUSPENSE: 0 });
      expect((await service.ledger(cancelled)).entries).toHaveLength(2);
      expect(await moneyOf(stage().database, cancelled)).toEqual({ captures: 1, net: 0 });
    },
  );
});
