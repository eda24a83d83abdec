/** Who may start beside which checkouts, and what is said of those that nobody runs. */
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { GOES_ON, type MachineVersions } from "../../machines/released/registry.ts";
import type { UnknownVersion } from "../../persistence/store.ts";
import { knownHashes, wayOf } from "../../runtime/machine-versions.ts";
import { refuseUnknownVersions, UnknownVersionsError, VersionWatch } from "../../runtime/version-watch.ts";
import { idle, ManualClock } from "../support/ports.ts";
import { oneVersion } from "../support/versions.ts";

const BUILD: MachineVersions = {
  ...oneVersion("mine", checkoutMachine),
  migrations: { older: GOES_ON, both: GOES_ON },
  pinned: { oldest: checkoutMachine, both: checkoutMachine },
};
const LOOK_MS = 60_000;

function unknown(machineHash: string, servedWith: readonly (readonly string[])[] = []): UnknownVersion {
  return { machineVersion: "1.0.0", machineHash, checkouts: 7, ids: ["ctx_1", "ctx_2"], servedWith };
}

const refusal = (versions: readonly UnknownVersion[], left: readonly string[] = []) =>
  refuseUnknownVersions({ unknownVersions: async () => versions }, BUILD, left);

test("a build knows its own version first, those that it migrates and those that it pins; one that is both is migrated", () => {
  expect(knownHashes(BUILD)).toEqual(["mine", "older", "both", "oldest"]);
  expect(knownHashes(BUILD).map((hash) => wayOf(BUILD, hash)?.kind)).toEqual(["current", "migrated", "migrated", "pinned"]);
  expect(wayOf(BUILD, "another")).toBeNull();
});

test("only what this build doesn't know is asked for", async () => {
  const asked: unknown[] = [];
  await refuseUnknownVersions({ unknownVersions: async (known) => (asked.push(known), []) }, BUILD, []);
  expect(asked).toEqual([knownHashes(BUILD)]);
});

test("refuses the start with each version, its count, some ids and what to do", async () => {
  const error: unknown = await refusal([unknown("aaaa"), unknown("bbbb")]).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UnknownVersionsError);
  const { message } = error as UnknownVersionsError;
  expect(message).toContain("  - 1.0.0 aaaa: 7 (ctx_1, ctx_2, …)\n  - 1.0.0 bbbb: 7 (ctx_1, ctx_2, …)\n");
  expect(message).toContain("LEAVE_VERSIONS=aaaa,bbbb");
});

test.each([
  [
    "a node that runs it is newer: it knows this build's version, and this build doesn't know its own",
    [["next", "mine", "x"]],
    true,
  ],
  ["the node that runs it is older: this build is about to replace it", [["x"]], false],
  ["the node that runs it is older, and this build knows its own version", [["older", "mine", "x"]], false],
  ["the node that runs it has this build's version, and is replaced by it", [["mine", "x"]], false],
  ["the node that runs it knows nothing of this build's version", [["next", "x"]], false],
  ["one of two nodes that run it is newer", [["x"], ["next", "mine", "x"]], true],
])("%s", async (_who, servedWith, isAllowed) => {
  const refused = await refusal([unknown("x", servedWith)]).then(
    () => null,
    (error: unknown) => String(error),
  );
  if (isAllowed) expect(refused).toBeNull();
  else expect(refused).toContain("1.0.0 x: 7");
});

test("an operator may leave a version unserved, that one and no other", async () => {
  await refusal([unknown("aaaa")], ["aaaa"]);
  await expect(refusal([unknown("aaaa"), unknown("bbbb")], ["aaaa"])).rejects.toThrow("LEAVE_VERSIONS=aaaa,bbbb.");
});

test("while it runs it says once of each version that no live node runs it, and counts the checkouts", async () => {
  const [clock, errors]: [ManualClock, unknown[]] = [new ManualClock(), []];
  let versions = [unknown("aaaa"), unknown("served", [["next", "served"]])];
  const log = { info: () => {}, warn: () => {}, error: (fields: object) => void errors.push(fields) };
  const watch = new VersionWatch({ store: { unknownVersions: async () => versions }, versions: BUILD, clock, log });
  const look = async () => {
    clock.advance(LOOK_MS);
    await idle();
  };
  watch.start();
  await look();
  await look();
  expect(watch.checkouts).toBe(7);
  expect(errors).toMatchObject([{ machineHash: "aaaa", checkouts: 7 }]);
  versions = [];
  await look();
  expect(watch.checkouts).toBe(0);
  versions = [unknown("aaaa")];
  await look();
  expect(errors).toHaveLength(2);
  await watch.stop();
});
