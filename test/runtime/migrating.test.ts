/** A checkout of an older version is taken up: migrated in one commit, or left, or parked. */
import { expect, test } from "vitest";
import { GOES_ON, type MachineVersions, type Migration } from "../../machines/released/registry.ts";
import { setup as nodes, type Node } from "./registry-desk.ts";

/** Where the desk's checkouts are of "hash", the new build's are of "new". */
function newBuild(from: MachineVersions, migration: Migration): MachineVersions {
  return { current: { ...from.current, hash: "new" }, migrations: { hash: migration }, pinned: {} };
}

/** Its first step was in flight when its node died; `heir` has claimed it. */
async function abandoned(migration: Migration = GOES_ON) {
  const bundle = nodes();
  const first = await bundle.node("node_1");
  await bundle.begun("ctx_1", first);
  await bundle.kill(first);
  const heir = await bundle.node("node_2", (from) => newBuild(from, migration));
  expect(await bundle.store.claimRunnable("node_2", 10)).toEqual(["ctx_1"]);
  const adopt = async (node: Node = heir) => {
    await node.registry.adopt("ctx_1");
    await bundle.settle();
  };
  return { ...bundle, heir, adopt };
}

test("its version, its checkpoint and an entry that says so are one commit, before its steps start again", async () => {
  const { store, heir, adopt, settle } = await abandoned();
  const commits: string[] = [];
  heir.stubs.commit = (batch) => {
    commits.push(
      ...batch.map(({ entry, machine }) => `${entry.event.type} ${machine?.machineHash} after ${heir.steps.length} steps`),
    );
    return store.commit(batch);
  };
  await adopt();
  expect(commits).toEqual(["MIGRATED new after 0 steps"]);
  expect(heir.stepNames()).toEqual(["resolveFeatureFlags"]);
  const stored = await store.load("ctx_1");
  expect(stored).toMatchObject({ machineHash: "new", seq: 3, checkpoint: { seq: 3 }, fence: 2 });
  expect(stored?.entries).toMatchObject([{ seq: 3, event: { type: "MIGRATED", machineHash: "new", migratedFrom: "hash" } }]);
  await heir.steps[0]?.end({ flags: {} });
  await settle();
  expect(await store.load("ctx_1")).toMatchObject({ seq: 4 });
  expect(heir.errors).toEqual([]);
});

test("when the commit is refused, another node has it: nothing starts here, and it is not parked", async () => {
  const { store, heir, adopt } = await abandoned();
  heir.stubs.commit = async (batch) => batch.map(() => ({ kind: "refused", seq: 2, fence: 9, owner: "node_9" }));
  await adopt();
  expect(heir.registry.has("ctx_1")).toBe(false);
  expect(heir.steps).toEqual([]);
  expect(await store.load("ctx_1")).toMatchObject({ parkedReason: null, machineHash: "hash" });
});

test("when the lease is lost on the way, it stays as it was for whoever claims it next", async () => {
  const { store, heir, adopt } = await abandoned();
  heir.controls.isHeld = false;
  await adopt();
  expect(heir.registry.has("ctx_1")).toBe(false);
  expect(await store.load("ctx_1")).toMatchObject({ parkedReason: null, machineHash: "hash", seq: 2 });
});

const THROWING: Migration = {
  ...GOES_ON,
  state: () => {
    throw new Error("It knows no such state.");
  },
};
const LOSING: Migration = { ...GOES_ON, entry: (recorded) => ({ ...recorded, to: "PROCESSING.NOWHERE" }) };

test.each([
  ["throws", THROWING, "It knows no such state."],
  ["leads elsewhere", LOSING, "PROCESSING.NOWHERE"],
])("a migration that %s parks it, at its old version", async (_what, migration, reason) => {
  const { store, adopt } = await abandoned(migration);
  await adopt();
  expect(await store.load("ctx_1")).toMatchObject({
    parkedReason: expect.stringContaining(reason) as unknown,
    machineHash: "hash",
    seq: 2,
  });
});

test("what arrived meanwhile is heard right after it", async () => {
  const { store, heir, adopt, cancel } = await abandoned();
  await cancel("ctx_1");
  await adopt();
  expect((await store.history("ctx_1", 2, 9)).map(({ event }) => event.type)).toEqual(["MIGRATED", "CANCEL"]);
  expect(heir.errors).toEqual([]);
});
