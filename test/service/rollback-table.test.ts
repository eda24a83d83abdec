/** For each failing step and each failing undo: number and order of undos as domain.md's table; any undo run twice changes nothing. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import { eventually } from "../support/client.ts";
import {
  fullOrder,
  openDirectly,
  openRollbackDesk,
  TRIES_IN_PLACE,
  type DirectCall,
  type RollbackDesk,
} from "../support/rollback-desk.ts";
import { watchTables, type WatchedTables } from "../support/rollback-dump.ts";
import { FAILURES, UNDO_CALLS, UNDOS, undosFrom, type DocumentedUndo } from "../support/rollback-table.ts";
import { onEveryBackend, onServersFirst } from "../support/stage.ts";
import { leftovers, moneyOf, stockMismatches } from "../support/tables.ts";

const tally = { "failing steps": 0, "failing undos": 0, "undos repeated": 0, "delayed originals refused": 0 };
/** The table itself: a plain run goes through each list of it on one of the two backends, TEST_FULL=1 on both. */
const isFull = process.env["TEST_FULL"] === "1";
afterAll(() => {
  const counts = Object.entries(tally).map(([what, times]) => `${times} ${what}`);
  const left = isFull ? "" : "; each row on one of the two backends (npm run test:full takes both)";
  process.stdout.write(`rollback table: ${counts.join(" · ")}${left}\n`);
});

const broken = () => new TerminalError("BROKEN", "This participant is broken for good.");
const unavailable = () => new TransientError("UNAVAILABLE", "This participant does not answer.");
const locked = () => new TransientError("LOCKED", "Another checkout holds it.", { retryAfterMs: 1 });

const always = (error: () => Error) => () => Promise.reject(error());
const times = (count: number, error: () => Error) => {
  let left = count;
  return () => (left-- > 0 ? Promise.reject(error()) : undefined);
};

/** The DLM being down stops nobody; a lock that stays busy does. */
const failureOf = (operation: string) => (operation === "acquire" ? locked : broken);

const PAID_FROM = FAILURES.findIndex(({ operation }) => operation === "createPaymentRequest");
const STEP_7 = "createPreferencesToLineItemsMapping";

onEveryBackend("rollback table", (stage, kind) => {
  let desk: RollbackDesk;
  beforeAll(async () => {
    desk = await openRollbackDesk(stage());
  });
  afterEach(() => desk.interference.clear());
  afterAll(() => desk.service.stop());

  const namesOf = (undos: readonly DocumentedUndo[]) => undos.map(({ operation }) => operation);
  const triesOf = (id: string) => desk.undoCallsOf(id).map(({ operation }) => operation);
  const typesOf = (id: string) => desk.service.delivered(id).map(({ type }) => type.replace("checkout.v1.", ""));

  /** Exactly the documented undos, in that order, each once. */
  async function expectTable(id: string, undos: readonly DocumentedUndo[]) {
    await desk.expectUndone(id, undos);
    expect(triesOf(id)).toEqual(namesOf(undos));
    expect(typesOf(id)).not.toContain("checkout_needs_attention");
    tally["failing steps"]++;
  }

  test.runIf(isFull || kind === "embedded").each(FAILURES)(
    "$step: $operation fails for good before its effect",
    async ({ operation, begins }) => {
      desk.interference.before.set(operation, always(failureOf(operation)));
      const id = await desk.begin(fullOrder("ins_sync_ok"));
      await expectTable(id, undosFrom(begins));
      const isPaid = FAILURES.findIndex((failure) => failure.operation === operation) > PAID_FROM;
      expect((await moneyOf(stage().database, id)).captures).toBe(isPaid ? 1 : 0);
    },
  );

  test.runIf(isFull || kind === "postgres").each(FAILURES)(
    "$step: $operation has its effect and its answer is an error",
    async ({ operation, begins }) => {
      desk.interference.after.set(operation, always(failureOf(operation)));
      const id = await desk.begin(fullOrder("ins_sync_ok"));
      await expectTable(id, undosFrom(begins));
      const isPaid = FAILURES.findIndex((failure) => failure.operation === operation) >= PAID_FROM;
      expect((await moneyOf(stage().database, id)).captures).toBe(isPaid ? 1 : 0);
    },
  );

  test("STEP_8: a decline on the last attempt takes back everything, the published event first", async () => {
    const id = await desk.begin(fullOrder("ins_decline", "usr_one_attempt"));
    await expectTable(id, UNDOS);
    expect(typesOf(id)).toEqual([
      "checkout_initiated",
      "line_items_updated",
      "payment_failed",
      "line_items_reverted",
      "checkout_rolled_back",
    ]);
  });

  test("STEP_8: a payment that is not made by the deadline takes back everything, the published event first", async () => {
    const id = await desk.begin(fullOrder("ins_async", "usr_in_a_hurry"));
    await expectTable(id, UNDOS);
    expect(typesOf(id)).toEqual(["checkout_initiated", "line_items_updated", "line_items_reverted", "checkout_rolled_back"]);
  });

  /** The calls that the participants get until one undo, or all of them, is deferred. */
  const triesInPlace = (undos: readonly DocumentedUndo[], failing?: string) =>
    namesOf(undos).flatMap((operation) =>
      Array<string>(failing === undefined || operation === failing ? TRIES_IN_PLACE : 1).fill(operation),
    );

  test.each(UNDOS)("$operation does not answer: deferred, the others go on, done at the end", async ({ operation, holds }) => {
    const fail = times(TRIES_IN_PLACE + 1, unavailable);
    const held: string[] = [];
    desk.interference.before.set(operation, async () => {
      const { executionContextId = "" } = desk.interference.calls.at(-1) ?? {};
      const isItsTurn = desk.interference.countOf(executionContextId, operation) === TRIES_IN_PLACE + 1;
      if (isItsTurn) held.push(...kindsOf(await leftovers(stage().database, executionContextId)));
      return fail();
    });
    const id = await desk.begin(fullOrder("ins_decline", "usr_one_attempt"));
    await desk.expectUndone(id, UNDOS);
    expect(triesOf(id)).toEqual([...triesInPlace(UNDOS, operation), operation, operation]);
    // When its turn comes again, its own effect is all that there is.
    expect(held).toEqual(holds);
    expectAttention(id, [operation]);
  });

  // One at a time on one of the two is enough; all at once on both, below.
  test.runIf(kind === "postgres").each(UNDO_CALLS)(
    "$operation is done and its answers are lost: deferred, done once, the money given back once",
    async ({ operation }) => {
      desk.interference.after.set(STEP_7, always(broken));
      desk.interference.after.set(operation, times(TRIES_IN_PLACE, unavailable));
      const id = await desk.begin(fullOrder("ins_sync_ok"));
      await desk.expectUndone(id, UNDO_CALLS);
      expect(triesOf(id)).toEqual([...triesInPlace(UNDO_CALLS, operation), operation]);
      expectAttention(id, [operation]);
      expect(typesOf(id).filter((type) => type === "payment_refunded")).toHaveLength(1);
      expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: 0 });
    },
  );

  test("an undo that is refused is deferred without a second try, for it must be done all the same", async () => {
    desk.interference.before.set("undoCreateCheckoutOrder", times(1, broken));
    const id = await desk.begin(fullOrder("ins_decline", "usr_one_attempt"));
    await desk.expectUndone(id, UNDOS);
    expect(triesOf(id)).toEqual([...namesOf(UNDOS), "undoCreateCheckoutOrder"]);
    expectAttention(id, ["undoCreateCheckoutOrder"]);
  });

  test.each([
    { what: "none answers, after a decline", fails: "before", undos: UNDOS, instrumentId: "ins_decline" },
    { what: "each answer is lost, with the money captured", fails: "after", undos: UNDO_CALLS, instrumentId: "ins_sync_ok" },
  ] as const)("all undos fail at first, $what: each deferred in its turn, each done once", async (scenario) => {
    const { fails, undos, instrumentId } = scenario;
    if (undos === UNDO_CALLS) desk.interference.after.set(STEP_7, always(broken));
    for (const { operation } of undos) desk.interference[fails].set(operation, times(TRIES_IN_PLACE, unavailable));
    const id = await desk.begin(fullOrder(instrumentId, "usr_one_attempt"));
    await desk.expectUndone(id, undos);
    const inPlace = triesInPlace(undos);
    const tries = triesOf(id);
    expect(tries.slice(0, inPlace.length)).toEqual(inPlace);
    expect(tries.slice(inPlace.length).toSorted()).toEqual(namesOf(undos).toSorted());
    expectAttention(id, namesOf(undos));
  });

  /** An operator hears of each undo once; the end is announced once, and nothing after it. */
  function expectAttention(id: string, failing: readonly string[]) {
    const alarms = desk.service.delivered(id).filter(({ type }) => type === "checkout.v1.checkout_needs_attention");
    const named = UNDOS.filter(({ operation }) => failing.includes(operation));
    expect(alarms.map(({ data }) => data["step"])).toEqual(named.map(({ journalName }) => `undo:${journalName}`));
    expect(typesOf(id).at(-1)).toBe("checkout_rolled_back");
    tally["failing undos"] += failing.length;
  }
});

// The participants' conformance suite, on PGlite, has the same laws of one undo at a time.
onServersFirst("undos run twice", (stage) => {
  let direct: DirectCall;
  beforeAll(async () => {
    direct = await openDirectly(stage());
  });

  /** Checkouts as a node leaves them, once it is gone: nothing but the test writes any more. */
  async function leave(make: (desk: RollbackDesk) => Promise<void>) {
    const desk = await openRollbackDesk(stage(), { stepRetryMax: 9 });
    await make(desk);
    await desk.service.stop();
    return { ...desk, tables: await watchTables(stage().database) };
  }

  /** One awaits its payment; one is paid, and its node stops while STEP_7 backs off. */
  async function leaveHalfWay() {
    const ids: string[] = [];
    const { tables } = await leave(async (desk) => {
      ids.push(await desk.begin(fullOrder("ins_async")));
      desk.interference.before.set(STEP_7, always(unavailable));
      const paid = await desk.begin(fullOrder("ins_sync_ok"), 0);
      await eventually(() => expect(desk.interference.countOf(paid, STEP_7)).toBeGreaterThan(0));
      expect((await moneyOf(stage().database, paid)).net).toBeGreaterThan(0);
      ids.push(paid);
    });
    return { ids, tables };
  }

  /** Once more, then twice at once: every table stays as it is, and the report is the first one's. */
  async function expectSettled(tables: WatchedTables, undo: () => Promise<unknown>) {
    const report = await undo();
    expect(await tables.changes()).toEqual([]);
    expect(await Promise.all([undo(), undo()])).toEqual([report, report]);
    expect(await tables.changes()).toEqual([]);
    tally["undos repeated"] += 3;
  }

  /** The original, delayed until after its undo. It may use up order numbers, which have gaps by design. */
  async function expectRefused(tables: WatchedTables, original: string, call: object) {
    await expect(direct(original, call)).rejects.toMatchObject({ class: "TERMINAL", code: "UNDONE" });
    expect(await tables.changes(original === "createCheckoutOrder" ? "order_numbers" : undefined)).toEqual([]);
    tally["delayed originals refused"]++;
  }

  /** Only what the runtime frees is left: these undos were not the runtime's. */
  async function expectNothingHeld(id: string) {
    expect(kindsOf(await leftovers(stage().database, id)).filter((kind) => !kind.startsWith("busy"))).toEqual([]);
    expect(await stockMismatches(stage().database)).toEqual([]);
    expect((await moneyOf(stage().database, id)).net).toBe(0);
  }

  const callOf = (id: string, { key }: DocumentedUndo) => ({
    executionContextId: id,
    key: `${id}:${key}`,
    reason: "TEST",
    owed: [],
    byHand: [],
  });

  test("of checkouts that were rolled back: each undo once more, then each original", async () => {
    const ids: string[] = [];
    const { interference, tables } = await leave(async (desk) => {
      desk.interference.after.set(STEP_7, always(broken));
      ids.push(await desk.begin(fullOrder("ins_sync_ok")));
      desk.interference.clear();
      ids.push(await desk.begin(fullOrder("ins_decline", "usr_one_attempt")));
      for (const id of ids) await desk.expectUndone(id, id === ids[0] ? UNDO_CALLS : UNDOS);
    });
    for (const id of ids) {
      for (const { operation } of UNDO_CALLS) {
        await expectSettled(tables, () => direct(operation, interference.callOf(id, operation)));
      }
      for (const { original } of UNDO_CALLS) await expectRefused(tables, original, interference.callOf(id, original));
    }
  });

  test("of checkouts that stand half-way, in the documented order", async () => {
    const { ids, tables } = await leaveHalfWay();
    for (const id of ids) {
      for (const undo of UNDO_CALLS) {
        await direct(undo.operation, callOf(id, undo));
        expect(await tables.changes()).not.toEqual([]);
        await expectSettled(tables, () => direct(undo.operation, callOf(id, undo)));
      }
      await expectNothingHeld(id);
    }
  });

  test("of checkouts that stand half-way, in the opposite order, three times at once from the first", async () => {
    const { ids, tables } = await leaveHalfWay();
    for (const id of ids) {
      for (const undo of UNDO_CALLS.toReversed()) {
        const run = () => direct(undo.operation, callOf(id, undo));
        const [report, ...others] = await Promise.all([run(), run(), run()]);
        expect(others).toEqual([report, report]);
        expect(await tables.changes()).not.toEqual([]);
        await expectSettled(tables, run);
      }
      await expectNothingHeld(id);
    }
  });

  test("of originals that never ran: a tombstone each, and the delayed original is refused", async () => {
    const delayed: { readonly id: string; readonly undo: DocumentedUndo; readonly original: string }[] = [];
    const { interference, tables } = await leave(async (desk) => {
      for (const undo of UNDO_CALLS) {
        for (const original of [undo.original, ...("alsoUndoes" in undo ? [undo.alsoUndoes] : [])]) {
          desk.interference.before.set(original, always(broken));
          const id = await desk.begin(fullOrder("ins_sync_ok"));
          desk.interference.clear();
          await desk.service.reaches(id, "ROLLED_BACK");
          delayed.push({ id, undo, original });
        }
      }
    });
    for (const { id, undo, original } of delayed) {
      await expectSettled(tables, () => direct(undo.operation, callOf(id, undo)));
      await expectRefused(tables, original, interference.callOf(id, original));
    }
  });

  test("of a checkout whose steps never started: a tombstone and nothing else, and the original is refused", async () => {
    let [donor, id] = ["", ""];
    const { interference, tables } = await leave(async (desk) => {
      donor = await desk.begin(fullOrder("ins_sync_ok"));
      desk.interference.before.set("resolve", always(broken));
      id = await desk.begin(fullOrder("ins_sync_ok"));
      await desk.service.reaches(id, "ROLLED_BACK");
    });
    for (const undo of UNDO_CALLS) {
      const call = callOf(id, undo);
      await direct(undo.operation, call);
      const changes = await tables.changes();
      expect(changes).toEqual([expect.stringMatching(/^[+] effects /)]);
      expect(changes[0]).toContain(`"key": "${call.key}"`);
      await expectSettled(tables, () => direct(undo.operation, call));
      await expectRefused(tables, undo.original, { ...interference.callOf(donor, undo.original), ...call });
    }
  });
});

/** `live line item li_1` → `live line item`, each once. */
function kindsOf(found: readonly string[]): readonly string[] {
  return [...new Set(found.map((line) => line.slice(0, line.lastIndexOf(" "))))];
}
