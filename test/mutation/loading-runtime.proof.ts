/** As loading.proof.ts, once the machine's own tests have passed: they need less. */
import { expect, test } from "vitest";

const failure = await loadAll().then(
  () => null,
  (error: unknown) => error,
);

test("the runtime loads", () => {
  expect(failure).toBeNull();
});

async function loadAll(): Promise<void> {
  await import("../../runtime/orchestrator.ts");
  await import("../../runtime/outbox-relay.ts");
  await import("../../runtime/money-watch.ts");
  await import("../../runtime/acquire-locks.ts");
  await import("../../runtime/fit.ts");
}
