import { expect, test } from "vitest";
import { lockManagerConformance } from "../conformance/lock-manager.ts";
import { MemoryLocks } from "./memory-locks.ts";

lockManagerConformance("in memory", async () => new MemoryLocks({ now: () => Date.now() }));

test("after a flush nobody holds anything", async () => {
  const locks = new MemoryLocks({ now: () => 0 });
  await locks.acquire(["a"], "anna", 1_000);
  locks.forgetAll();
  expect(await locks.acquire(["a"], "ben", 1_000)).toMatchObject({ kind: "acquired" });
});
