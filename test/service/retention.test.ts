/** What finished long ago is removed; money that still comes for it is given back all the same (docs/decisions/0017). */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import { age, retain } from "../support/aged.ts";
import { eventually, order } from "../support/client.ts";
import { successEvent } from "../support/payment-desk.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { moneyOf } from "../support/tables.ts";
import { deliver, PAYABLE, rest } from "../support/thread-desk.ts";

/** The runtime's tables, by the column that names the checkout. What is not listed belongs to the participants, or to nobody. */
const TABLES: Readonly<Record<string, string>> = {
  contexts: "id",
  journal: "context_id",
  snapshots: "context_id",
  requests: "context_id",
  idempotency_keys: "context_id",
  outbox: "context_id",
  pcr_contexts: "context_id",
  ledger: "context_id",
  live_carts: "context_id",
  live_payment_groups: "context_id",
};

onEveryBackend("retention", (stage) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { requestWaitMs: 30_000 });
  });
  afterAll(() => service.stop());

  const rowsOf = async (id: string) => {
    const counts = Object.entries(TABLES).map(
      ([table, column]) => `select '${table}' as name, count(*)::int as rows from checkoutd.${table} where ${column} = $1`,
    );
    const inbox = `select 'inbox' as name, count(*)::int as rows from checkoutd.inbox
      where context_id = $1 or pcr_id in (select pcr_id from checkoutd.pcr_contexts where context_id = $1)`;
    const rows = await service.rows<{ name: string; rows: number }>([...counts, inbox].join(" union all "), [id]);
    return Object.fromEntries(rows.filter((row) => row.rows > 0).map((row) => [row.name, row.rows]));
  };
  const told = (id: string) =>
    service.delivered(id).map(({ type, seq, typeseq }) => `${seq} ${type.replace("checkout.v1.", "")} ${typeseq}`);
  const violationsOf = async (id: string, status: "CONFIRMED" | "ROLLED_BACK") =>
    (await auditCheckout(stage().database, id, status)).violations;

  async function confirmed() {
    const body = order("ins_sync_ok");
    const key = randomUUID();
    const { executionContextId: id, payment } = (await service.initiate(body, { key })).checkout();
    await service.reaches(id, "CONFIRMED");
    return { id, body, key, pcrId: payment.pcrId ?? "" };
  }

  async function cancelled() {
    const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
    await service.cancel(id);
    return { id, pcrId: payment.pcrId ?? "" };
  }

  async function retained(id: string) {
    await rest(service, id);
    await age(stage().database, [id]);
    expect(await retain(stage().database)).toMatchObject({ checkouts: 1 });
  }

  test("a payment that comes for a tombstone is given back once, and its events count on", async () => {
    const { id, pcrId } = await cancelled();
    await deliver(service, successEvent(pcrId, "psr_first"));
    await rest(service, id);
    const before = (await service.get(id)).text;
    const events = told(id);
    await retained(id);
    expect(await rowsOf(id)).toEqual({ contexts: 1, journal: 1, snapshots: 1, pcr_contexts: 1, ledger: 2 });
    expect((await service.get(id)).text).toBe(before);
    expect(await violationsOf(id, "ROLLED_BACK")).toEqual([]);

    const event = successEvent(pcrId, "psr_second");
    const eventId = randomUUID();
    for (let times = 1; times <= 2; times++) await deliver(service, event, eventId);
    await eventually(() => expect(told(id)).toEqual([...events, `${events.length + 1} payment_refunded 2`]));
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 2, net: 0 });
    await rest(service, id);
    expect(await violationsOf(id, "ROLLED_BACK")).toEqual([]);

    // Removed once more, with what came since: the numbers still go on.
    await retained(id);
    expect(await rowsOf(id)).toEqual({ contexts: 1, journal: 1, snapshots: 1, pcr_contexts: 1, ledger: 4 });
    await deliver(service, event, eventId);
    await deliver(service, successEvent(pcrId, "psr_first"));
    await deliver(service, successEvent(pcrId, "psr_third"));
    await eventually(() => expect(told(id).slice(events.length + 1)).toEqual([`${events.length + 2} payment_refunded 3`]));
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 3, net: 0 });
    await rest(service, id);
    expect(await violationsOf(id, "ROLLED_BACK")).toEqual([]);
  });

  test("the capture that paid, told again, is booked once; a second one is a duplicate", async () => {
    const { id, pcrId } = await confirmed();
    const [paid] = await service.rows<{ reference: string }>(
      "select psp_reference as reference from checkoutd.provider_captures where context_id = $1",
      [id],
    );
    await retained(id);
    await deliver(service, successEvent(pcrId, paid?.reference ?? "", PAYABLE));
    await eventually(async () => expect((await rowsOf(id))["inbox"]).toBe(1));
    await rest(service, id);
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: PAYABLE });
    await deliver(service, successEvent(pcrId, "psr_again"));
    await eventually(async () => expect(await moneyOf(stage().database, id)).toEqual({ captures: 2, net: PAYABLE }));
    await eventually(() => expect(told(id).at(-1)).toMatch(/payment_refunded 1$/));
    await rest(service, id);
    expect(await violationsOf(id, "CONFIRMED")).toEqual([]);
    expect((await service.get(id)).checkout()).toMatchObject({ status: "CONFIRMED", payment: { refundedAmount: PAYABLE } });
  });

  test("what was bought stays bought: neither its key nor a fresh one buys it again", async () => {
    const { id, body, key } = await confirmed();
    expect((await service.initiate(body, { key })).isReplayed).toBe(true);
    await retained(id);
    for (const one of [key, randomUUID()]) {
      expect((await service.initiate(body, { key: one })).problem()).toMatchObject({
        code: "CART_ALREADY_CHECKED_OUT",
        executionContextId: id,
      });
    }
  });

  test("its removed entries are gone and said to be; what is kept can be read and watched", async () => {
    const { id } = await confirmed();
    const last = (await service.orchestrator.history(id, 0, 500)).at(-1)?.seq ?? 0;
    const now = (await service.get(id)).checkout();
    await retained(id);
    const first = await service.request(`${now.links.history}`);
    expect(first.problem()).toMatchObject({ status: 410, code: "REMOVED_BY_RETENTION", executionContextId: id });
    const next = await service.request(String(first.problem()["next"]));
    expect(JSON.parse(next.text)).toMatchObject({ entries: [{ seq: last }], next: null });
    for (const seq of [1, last - 1]) {
      expect((await service.request(`${now.links.self}/at?seq=${seq}`)).problem()).toMatchObject({
        code: "REMOVED_BY_RETENTION",
      });
    }
    expect((await service.at(id, last)).checkout).toEqual(now);
    expect((await service.request(`${now.links.self}/at?seq=${last + 1}`)).problem()).toMatchObject({ status: 400 });
    expect(JSON.parse((await service.request(now.links.events)).text)).toEqual({ events: [] });
    const stream = await service.stream(id, 0);
    const reader = stream.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    await reader?.cancel();
    expect(new TextDecoder().decode(value as Uint8Array)).toContain(`id: ${last}`);
  });

  test("one that was never asked to pay goes entirely", async () => {
    const body = order("ins_sync_ok", { expectedTotal: { amount: 1, currency: "INR" } });
    const { executionContextId = "" } = (await service.initiate(body)).problem();
    await retained(executionContextId);
    expect(await rowsOf(executionContextId)).toEqual({});
    expect((await service.get(executionContextId)).status).toBe(404);
  });

  test("two at once, beside checkouts that run: each is removed once, and nobody is disturbed", async () => {
    const { database } = stage();
    const old = await Promise.all(Array.from({ length: 6 }, (_, n) => (n % 2 === 0 ? confirmed() : cancelled())));
    const outcomes = old.map(({ id }, n) => ({ id, status: n % 2 === 0 ? ("CONFIRMED" as const) : ("ROLLED_BACK" as const) }));
    for (const { id } of old) await rest(service, id);
    await age(
      database,
      outcomes.map(({ id }) => id),
    );
    const late = Promise.all(old.map(({ pcrId }) => deliver(service, successEvent(pcrId, `psr_late_${pcrId}`))));
    const running = Promise.all(Array.from({ length: 4 }, confirmed));
    const [first, second] = await Promise.all([retain(database), retain(database)]);
    await late;
    // One whose payment came first isn't due any more.
    expect(first.checkouts + second.checkouts).toBeLessThanOrEqual(old.length);
    const fresh = (await running).map(({ id }) => ({ id, status: "CONFIRMED" as const }));
    for (const { id } of outcomes) await eventually(() => expect(told(id).at(-1)).toMatch(/payment_refunded 1$/));
    for (const { id, status } of [...outcomes, ...fresh]) {
      await rest(service, id);
      await eventually(async () => expect(await violationsOf(id, status)).toEqual([]));
      expect(await moneyOf(database, id)).toMatchObject({ net: status === "CONFIRMED" ? PAYABLE : 0 });
    }
    expect(service.logged.filter((line) => /parked|invariant/i.test(line))).toEqual([]);
  });
});
