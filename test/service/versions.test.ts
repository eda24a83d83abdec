/** Builds with different machines on one database: who goes on with what (hard cases 24 and 25). */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { MachineVersions } from "../../machines/released/registry.ts";
import { knownHashes } from "../../runtime/machine-versions.ts";
import { refuseUnknownVersions } from "../../runtime/version-watch.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate, successEvent } from "../support/payment-desk.ts";
import { machineWithRenamedState, RENAMING } from "../support/renamed-state.ts";
import { differencesOnReplay } from "../support/replay.ts";
import { startService, type Service, type ServiceOptions } from "../support/service.ts";
import { openEmbeddedStage, type Stage } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";
import { oneVersion } from "../support/versions.ts";

const [OLD_HASH, NEW_HASH] = ["0000000000000001", "0000000000000002"];
const OLD = oneVersion(OLD_HASH, checkoutMachine);
/** STEP_3 has another name in it. */
const STRANGER = oneVersion(NEW_HASH, machineWithRenamedState());
const MIGRATING: MachineVersions = { ...STRANGER, migrations: { [OLD_HASH]: RENAMING } };
const PINNING: MachineVersions = { ...STRANGER, pinned: { [OLD_HASH]: checkoutMachine } };
const ENTRIES_MAX = 500;

let stage: Stage;
beforeAll(async () => (stage = await openEmbeddedStage()));
afterAll(() => stage.close());
const started: Service[] = [];
afterEach(() => Promise.all(started.splice(0).map((service) => service.stop())));

async function start(versions: MachineVersions, options: ServiceOptions = {}): Promise<Service> {
  const service = await startService(stage, { ...options, versions });
  started.push(service);
  return service;
}

/** A node of the old build stopped while that operation was in flight. */
async function leftAt(operation: string, instrumentId = "ins_sync_ok"): Promise<string> {
  const [interference, held] = [new Interference(), gate()];
  interference.before.set(operation, held.pass);
  const old = await start(OLD, { aroundServices: interference.around, requestWaitMs: 0 });
  const { executionContextId = "" } = (await old.initiate(order(instrumentId))).problem();
  await held.reached;
  await old.stop();
  return executionContextId;
}

async function versionOf(id: string): Promise<string> {
  const rows = await stage.database.rows<{ hash: string }>("select machine_hash as hash from checkoutd.contexts where id = $1", [
    id,
  ]);
  return rows[0]?.hash ?? "";
}

const journalOf = (service: Service, id: string) => service.orchestrator.history(id, 0, ENTRIES_MAX);
const eventTypes = (service: Service, id: string) => service.delivered(id).map(({ type }) => type);

test("a checkout in a state that has another name now goes on under the new build, migrated once (hard case 25)", async () => {
  const id = await leftAt("createCheckoutOrder");
  const first = await start(MIGRATING);
  await first.reaches(id, "CONFIRMED");
  expect(await versionOf(id)).toBe(NEW_HASH);
  const journal = await journalOf(first, id);
  const [migrated, ...more] = journal.filter(({ event }) => event.type === "MIGRATED");
  expect(more).toEqual([]);
  expect(migrated).toMatchObject({
    from: "PROCESSING.STEP_3.running",
    to: "PROCESSING.STEP_THREE.running",
    event: { machineHash: NEW_HASH, migratedFrom: OLD_HASH },
  });
  expect(first.counters.get("checkouts_migrated")).toBe(1);
  expect(await moneyOf(stage.database, id)).toEqual({ captures: 1, net: 249_900 });
  const orders = await stage.database.rows("select status from checkoutd.checkout_orders where context_id = $1", [id]);
  expect(orders, "the step that was in flight ran again under its key").toEqual([{ status: "CONFIRMED" }]);
});

test("the journal of a migrated checkout is read through both of its versions, entry by entry", async () => {
  const id = await leftAt("createCheckoutOrder");
  const service = await start(MIGRATING);
  await service.reaches(id, "CONFIRMED");
  const journal = await journalOf(service, id);
  for (const { seq, to } of journal) expect((await service.at(id, seq)).entry).toMatchObject({ seq, to });
  expect((await service.at(id, journal.length)).checkout).toEqual((await service.get(id)).checkout());
  expect(await differencesOnReplay(stage.database, MIGRATING)).toEqual([]);
  // A later build that has forgotten the old version still tells what came after it.
  const forgetful = await start(STRANGER);
  const migratedAt = journal.find(({ event }) => event.type === "MIGRATED")?.seq ?? 0;
  expect((await forgetful.at(id, migratedAt)).checkout).toMatchObject({ executionContextId: id, status: "PROCESSING" });
  await expect(forgetful.orchestrator.viewAt(id, migratedAt - 1)).rejects.toMatchObject({ code: "OTHER_VERSION" });
});

test("a node that dies right after it migrated leaves nothing to migrate again", async () => {
  const id = await leftAt("createCheckoutOrder");
  const [interference, held] = [new Interference(), gate()];
  interference.before.set("createCheckoutOrder", held.pass);
  const first = await start(MIGRATING, { aroundServices: interference.around });
  await held.reached;
  expect(await versionOf(id)).toBe(NEW_HASH);
  await first.stop();
  const second = await start(MIGRATING);
  await second.reaches(id, "CONFIRMED");
  expect([first, second].map(({ counters }) => counters.get("checkouts_migrated"))).toEqual([1, 0]);
  expect(await differencesOnReplay(stage.database, MIGRATING)).toEqual([]);
});

test("a checkout of a pinned version ends under its own machine, and new ones begin under the current one (hard case 24)", async () => {
  const id = await leftAt("getLineItemSummary");
  const service = await start(PINNING);
  await service.reaches(id, "CONFIRMED");
  expect(await versionOf(id)).toBe(OLD_HASH);
  const steps = async (one: string) => (await journalOf(service, one)).map(({ to }) => to).join(" ");
  expect(await steps(id)).toContain("PROCESSING.STEP_3.running");
  expect(await steps(id)).not.toContain("STEP_THREE");
  const fresh = (await service.initiate(order())).checkout();
  expect(await versionOf(fresh.executionContextId)).toBe(NEW_HASH);
  expect(await steps(fresh.executionContextId)).toContain("PROCESSING.STEP_THREE.running");
  for (const one of [id, fresh.executionContextId]) {
    const { length } = await journalOf(service, one);
    expect((await service.at(one, length)).checkout).toEqual((await service.get(one)).checkout());
  }
});

test("an old node takes no context of a new one, also when it is asked for it (hard case 25)", async () => {
  const [old, fresh] = [await start(OLD), await start(MIGRATING)];
  const { executionContextId: id } = (await fresh.initiate(order("ins_async"))).checkout();
  await fresh.stop();
  await old.cancel(id, { wait: 0 });
  await old.orchestrator.notify(id);
  expect(await old.store.claim(id, old.orchestrator.node.nodeId)).toBeNull();
  expect(await old.store.claimRunnable(old.orchestrator.node.nodeId, ENTRIES_MAX)).not.toContain(id);
  expect(await stage.database.rows("select owner, parked_reason from checkoutd.contexts where id = $1", [id])).toEqual([
    { owner: null, parked_reason: null },
  ]);
  const next = await start(MIGRATING);
  expect((await next.reaches(id, "ROLLED_BACK")).lastError).toMatchObject({ code: "CANCELLED" });
  expect(await leftovers(stage.database, id)).toEqual([]);
});

test("a payment and a cancel that reach an old node are kept, and done by the new one beside it", async () => {
  const [old, fresh] = [await start(OLD), await start(MIGRATING)];
  const [paid, cancelled] = [
    (await fresh.initiate(order("ins_async"))).checkout(),
    (await fresh.initiate(order("ins_async"))).checkout(),
  ];
  expect((await old.get(paid.executionContextId)).problem()).toMatchObject({ status: 503, code: "OTHER_VERSION" });
  expect((await old.deliverPayment(successEvent(paid.payment.pcrId ?? "", "psr_old_door"))).status).toBe(200);
  await fresh.reaches(paid.executionContextId, "CONFIRMED");
  const asked = await old.cancel(cancelled.executionContextId, { wait: 0 });
  expect(asked.problem()).toMatchObject({ status: 503, code: "RETRY_SCHEDULED", retryScheduled: true });
  await fresh.reaches(cancelled.executionContextId, "ROLLED_BACK");
  expect((await fresh.cancel(cancelled.executionContextId)).checkout()).toMatchObject({ status: "ROLLED_BACK" });
});

test("a late payment for a checkout that ended under the old version is refunded by the new build", async () => {
  const old = await start(OLD);
  const { executionContextId: id, payment } = (await old.initiate(order("ins_async"))).checkout();
  await old.cancel(id);
  await old.reaches(id, "ROLLED_BACK");
  await old.stop();
  const fresh = await start(MIGRATING);
  expect((await fresh.get(id)).checkout(), "it is shown as it rests, and left as it is").toMatchObject({ status: "ROLLED_BACK" });
  expect(await versionOf(id)).toBe(OLD_HASH);
  await fresh.deliverPayment(successEvent(payment.pcrId ?? "", "psr_late"));
  await eventually(() => expect(eventTypes(fresh, id)).toContain("checkout.v1.payment_refunded"));
  expect(await moneyOf(stage.database, id)).toEqual({ captures: 1, net: 0 });
  expect(await versionOf(id)).toBe(NEW_HASH);
});

test("a build that knows neither is refused with the list, beside the old node and after it (hard case 25)", async () => {
  const old = await start(OLD);
  const { executionContextId: id } = (await old.initiate(order("ins_async"))).checkout();
  const refusal = () => refuseUnknownVersions(old.store, STRANGER, []);
  const [named] = (await old.store.unknownVersions(knownHashes(STRANGER))).map(({ ids }) => ids);
  expect(named).toContain(id);
  await expect(refusal()).rejects.toThrow(`${OLD_HASH}: 1 (${id})`);
  await old.stop();
  await expect(refusal()).rejects.toThrow(`${OLD_HASH}: 1 (${id})`);
  await refuseUnknownVersions(old.store, STRANGER, [OLD_HASH]);
  await refuseUnknownVersions(old.store, MIGRATING, []);
  await refuseUnknownVersions(old.store, PINNING, []);
  const fresh = await start(MIGRATING);
  await fresh.cancel(id);
  await fresh.reaches(id, "ROLLED_BACK");
});

test("an old node may restart beside new ones, and not once they are gone with contexts of theirs left", async () => {
  const fresh = await start(MIGRATING);
  const { executionContextId: id } = (await fresh.initiate(order("ins_async"))).checkout();
  await refuseUnknownVersions(fresh.store, OLD, []);
  await fresh.stop();
  await expect(refuseUnknownVersions(fresh.store, OLD, [])).rejects.toThrow(`LEAVE_VERSIONS=${NEW_HASH}`);
  const next = await start(MIGRATING);
  await next.cancel(id);
  await next.reaches(id, "ROLLED_BACK");
});
