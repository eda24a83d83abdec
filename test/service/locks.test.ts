/** Locks make conflicts cheap and never decide what is right (hard cases 7 and 8). */
import { afterEach, expect, test } from "vitest";
import type { LockManager } from "../../locking/lock-manager.ts";
import { TransientError } from "../../machines/errors.ts";
import { order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate } from "../support/payment-desk.ts";
import { startService, type Service, type ServiceOptions } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";

const RIVAL = "ctx_rival";
const RIVAL_TTL_MS = 30_000;

/**
 * During each acquisition somebody else holds the key at that place: 0 is the context's, the others are groups'.
 * Told to be free soon, because whoever finds a lock busy waits for what is left of it.
 */
function rivalOf(place: number) {
  const seen: string[] = [];
  const around = (locks: LockManager): LockManager => ({
    acquire: async (keys, owner, ttlMs) => {
      const key = keys[place] ?? "";
      seen.push(key);
      await locks.acquire([key], RIVAL, RIVAL_TTL_MS);
      const result = await locks.acquire(keys, owner, ttlMs);
      await locks.release([key], RIVAL);
      return result.kind === "busy" ? { ...result, remainingMs: 1 } : result;
    },
    renew: (keys, owner, ttlMs) => locks.renew(keys, owner, ttlMs),
    release: (keys, owner) => locks.release(keys, owner),
    ping: () => locks.ping(),
    stop: () => locks.stop(),
  });
  return { seen, around };
}

onEveryBackend("locks", (stage) => {
  const started: Service[] = [];
  const start = async (options: ServiceOptions) => {
    const service = await startService(stage(), options);
    started.push(service);
    return service;
  };
  afterEach(() => Promise.all(started.splice(0).map((service) => service.stop())));

  test.each([
    { what: "context", place: 0 },
    { what: "second payment group", place: 2 },
  ])("the lock of the $what is another's: tried again, then rolled back, groups released, nothing taken", async ({ place }) => {
    const rival = rivalOf(place);
    const service = await start({ aroundLocks: rival.around, policy: { stepRetryMax: 2 } });
    const answer = await service.initiate(order());
    const { executionContextId = "" } = answer.problem();
    expect(answer.problem()).toMatchObject({ status: 409, code: "LOCKED", rollback: "DONE" });
    expect(rival.seen).toHaveLength(3);
    expect(await leftovers(stage().database, executionContextId)).toEqual([]);
    const groups = await service.rows<{ status: string }>("select status from checkoutd.payment_groups where context_id = $1", [
      executionContextId,
    ]);
    expect(groups).toEqual([{ status: "RELEASED" }, { status: "RELEASED" }]);
  });

  test("a group that another live checkout holds durably is not taken from it", async () => {
    const interference = new Interference();
    const service = await start({ aroundServices: interference.around, policy: { stepRetryMax: 0 } });
    interference.after.set("createPaymentGroup", async () => {
      const claim =
        "insert into checkoutd.live_payment_groups select id, 'ctx_rival' from checkoutd.payment_groups where status = 'OPEN'";
      await stage().database.rows(claim);
    });
    const answer = await service.initiate(order());
    expect(answer.problem()).toMatchObject({ status: 409, code: "LOCKED", rollback: "DONE" });
    expect(await leftovers(stage().database, answer.problem().executionContextId ?? "")).toEqual([]);
    const kept = await service.rows(
      "delete from checkoutd.live_payment_groups where context_id = 'ctx_rival' returning 1 as one",
    );
    expect(kept).toHaveLength(2);
  });

  test("the lock service forgets everything in the middle of a run: it goes on, and has its effects once", async () => {
    const interference = new Interference();
    const held = gate();
    const service = await start({ aroundServices: interference.around });
    interference.before.set("createCheckoutOrder", held.pass);
    const pending = service.initiate(order());
    await held.reached;
    await stage().flushLocks();
    held.open();
    const checkout = (await pending).checkout();
    expect(checkout.status).toBe("CONFIRMED");
    expect(await moneyOf(stage().database, checkout.executionContextId)).toEqual({ captures: 1, net: 249_900 });
  });

  test("the lock service is down: checkouts go on under the fence alone, and that is said", async () => {
    const down = () => Promise.reject(new TransientError("LOCKS_UNAVAILABLE", "The lock service does not answer."));
    const service = await start({
      aroundLocks: (locks) => ({ ...rivalOf(0).around(locks), acquire: down, renew: down, release: down }),
    });
    expect((await service.initiate(order())).checkout().status).toBe("CONFIRMED");
    expect(service.counters.get("locks_unavailable")).toBe(1);
    expect(service.logged).toContain("The lock manager does not answer; the checkout goes on under its fence alone");
  });

  test.each(["ins_sync_ok", "ins_async"])("after %s has been answered its locks are free", async (instrumentId) => {
    const service = await start({});
    const checkout = (await service.initiate(order(instrumentId))).checkout();
    const locks = await stage().openLocks();
    const keys = [checkout.executionContextId, ...checkout.paymentGroups.map(({ paymentGroupId }) => paymentGroupId)];
    await expect.poll(() => locks.acquire(keys, RIVAL, RIVAL_TTL_MS)).toMatchObject({ kind: "acquired" });
    await locks.stop();
  });
});
