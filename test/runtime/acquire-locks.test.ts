import { expect, test } from "vitest";
import { acquireLocks } from "../../runtime/acquire-locks.ts";

const INPUT = { executionContextId: "ctx_1", paymentGroupIds: ["pg_1", "pg_2"], key: "ctx_1:acquireLocks" };

function setup(busy: string | null = null) {
  const calls: string[] = [];
  const abort = new AbortController();
  const record = (what: string, id: string, groups: readonly string[]) => calls.push(`${what} ${id}: ${groups.join(" ")}`);
  const store = {
    claimPaymentGroups: async (id: string, groups: readonly string[]) => {
      record("claim", id, groups);
      return busy === null ? null : { busy };
    },
  };
  const keeper = {
    hold: async (id: string, groups: readonly string[]) => {
      record("hold", id, groups);
      return { [id]: 3 };
    },
  };
  return { calls, abort, run: () => acquireLocks(store, keeper)(INPUT, abort.signal) };
}

test("claims the groups durably, then takes the locks and gives back their tokens", async () => {
  const { run, calls } = setup();
  expect(await run()).toEqual({ tokens: { ctx_1: 3 } });
  expect(calls).toEqual(["claim ctx_1: pg_1 pg_2", "hold ctx_1: pg_1 pg_2"]);
});

test("a group that another checkout holds is LOCKED, looked at again in a second, and no lock is taken", async () => {
  const { run, calls } = setup("pg_2");
  await expect(run()).rejects.toMatchObject({
    class: "TRANSIENT",
    code: "LOCKED",
    retryAfterMs: 1_000,
    details: { key: "pg_2" },
  });
  expect(calls).toEqual(["claim ctx_1: pg_1 pg_2"]);
});

test("takes no lock when the step was given up meanwhile", async () => {
  const { run, calls, abort } = setup();
  abort.abort();
  await expect(run()).rejects.toBe(abort.signal.reason);
  expect(calls).toEqual(["claim ctx_1: pg_1 pg_2"]);
});
