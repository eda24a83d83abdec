import { eq } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { optIns } from "../../persistence/service-schema.ts";
import { SqlOptIns } from "../../services/opt-ins.ts";
import type { RequestedOptIn } from "../../steps/request.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";
import { newContext, optIn } from "./checkouts.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());
const service = new SqlOptIns({ database, ids: countingIds() });

let users = 0;
const newUser = () => `usr_${++users}`;

function checkout(userId: string, wanted: readonly RequestedOptIn[]) {
  const context = newContext();
  return {
    id: context.id,
    handle: () => service.handleOptinCreationAndModification({ ...context.call("STEP_4"), userId, optIns: wanted }),
    undo: () => service.undoHandleOptinCreationAndModification(context.call("STEP_4")),
    activate: () => service.activateOptIns(context.call("ACTIVATE")),
  };
}

async function rowsOf(userId: string) {
  return database.orm.select().from(optIns).where(eq(optIns.userId, userId)).orderBy(optIns.id);
}

async function memberOf(planId: string): Promise<string> {
  const userId = newUser();
  const first = checkout(userId, [optIn({ planId })]);
  await first.handle();
  await first.activate();
  return userId;
}

const MODIFY = optIn({ action: "MODIFY", planId: "plus_12m" });

test("creates a pending opt-in once per key and activates it", async () => {
  const userId = newUser();
  const { handle, activate } = checkout(userId, [optIn()]);
  const first = await handle();
  expect(await handle()).toEqual(first);
  expect(await rowsOf(userId)).toMatchObject([{ id: first.optIns[0]?.optInId, status: "PENDING", planId: "plus_6m" }]);
  await activate();
  await activate();
  expect(await rowsOf(userId)).toMatchObject([{ status: "ACTIVE", pendingAction: null, version: 2 }]);
});

test("revokes what it created, once, and refuses the delayed original", async () => {
  const userId = newUser();
  const { handle, undo } = checkout(userId, [optIn()]);
  await handle();
  expect(await undo()).toEqual({ conflicts: [] });
  const after = await rowsOf(userId);
  expect(after).toMatchObject([{ status: "REVOKED" }]);
  expect(await undo()).toEqual({ conflicts: [] });
  expect(await rowsOf(userId)).toEqual(after);
  await expect(handle()).rejects.toMatchObject({ code: "UNDONE" });
});

test("changes the plan of the active opt-in, and sets back exactly what was there", async () => {
  const userId = await memberOf("plus_6m");
  const [before] = await rowsOf(userId);
  const { handle, undo } = checkout(userId, [MODIFY]);
  expect((await handle()).optIns).toEqual([{ ref: "o1", optInId: before?.id }]);
  expect(await rowsOf(userId)).toMatchObject([{ planId: "plus_12m", status: "PENDING", pendingAction: "MODIFY" }]);
  expect(await undo()).toEqual({ conflicts: [] });
  expect(await rowsOf(userId)).toEqual([{ ...before, version: 4 }]);
});

test("ends an opt-in when the checkout is confirmed, and not before", async () => {
  const userId = await memberOf("plus_6m");
  const { handle, activate } = checkout(userId, [optIn({ action: "CANCEL" })]);
  await handle();
  expect(await rowsOf(userId)).toMatchObject([{ status: "PENDING", planId: "plus_6m" }]);
  await activate();
  expect(await rowsOf(userId)).toMatchObject([{ status: "CANCELLED" }]);
});

test("leaves a row that support changed since as it is, and records the conflict for good", async () => {
  const userId = await memberOf("plus_6m");
  const { handle, undo } = checkout(userId, [MODIFY]);
  await handle();
  await database.orm.update(optIns).set({ status: "CANCELLED", version: 99 }).where(eq(optIns.userId, userId));
  const report = await undo();
  expect(report.conflicts).toMatchObject([{ entity: "optIn" }]);
  expect(await rowsOf(userId)).toMatchObject([{ status: "CANCELLED", version: 99 }]);
  expect(await undo()).toEqual(report);
});

test("refuses a change where nothing is active, or where another checkout is changing it", async () => {
  const refusal = { class: "TERMINAL", code: "BUSINESS_RULE" };
  await expect(checkout(newUser(), [MODIFY]).handle()).rejects.toMatchObject(refusal);
  const userId = await memberOf("plus_6m");
  const answers = await Promise.allSettled([checkout(userId, [MODIFY]).handle(), checkout(userId, [MODIFY]).handle()]);
  expect(answers.map((answer) => answer.status).toSorted()).toEqual(["fulfilled", "rejected"]);
});

test("touches no opt-in of another user or checkout", async () => {
  const other = await memberOf("plus_6m");
  const before = await rowsOf(other);
  const userId = await memberOf("plus_6m");
  const { handle, undo } = checkout(userId, [MODIFY, optIn({ ref: "o2", type: "CONSENT", planId: "whatsapp" })]);
  await handle();
  await undo();
  expect(await rowsOf(other)).toEqual(before);
});

test("comes back to where it was after any mix of creations and changes is undone, however often", async () => {
  const wanted = fc.subarray(
    [
      MODIFY,
      optIn({ ref: "o2" }),
      optIn({ ref: "o3", type: "CONSENT", planId: "whatsapp" }),
      optIn({ ref: "o4", type: "DONATION", planId: "donate_10" }),
    ],
    { minLength: 0 },
  );
  await fc.assert(
    fc.asyncProperty(wanted, fc.integer({ min: 1, max: 3 }), async (list, undos) => {
      const userId = await memberOf("plus_6m");
      const [before] = await rowsOf(userId);
      const { handle, undo } = checkout(userId, list);
      await handle();
      for (let time = 0; time < undos; time++) expect(await undo()).toEqual({ conflicts: [] });
      const [membership, ...created] = await rowsOf(userId);
      expect({ ...membership, version: 0 }).toEqual({ ...before, version: 0 });
      expect(created.every((row) => row.status === "REVOKED")).toBe(true);
      await expect(handle()).rejects.toMatchObject({ code: "UNDONE" });
    }),
    { numRuns: 20 },
  );
});
