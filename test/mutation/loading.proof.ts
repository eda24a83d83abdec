/**
 * What a mutant breaks while its module is loaded would leave a test file without tests, and nobody would miss them. Here
 * the machine is loaded before any other file is, and a test says how that went. Not inside the test: what runs while a
 * module is loaded would count as this test's alone, and no other test would be asked.
 */
import { expect, test } from "vitest";

const failure = await loadAll().then(
  () => null,
  (error: unknown) => error,
);

test("the machine loads", () => {
  expect(failure).toBeNull();
});

async function loadAll(): Promise<void> {
  await import("../../machines/checkout.ts");
  await import("../../machines/diagram.ts");
}
