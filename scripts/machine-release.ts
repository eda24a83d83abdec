/** `npm run machine:release`: freezes what the working machine can reach, before its checkouts exist anywhere. */
import { MACHINE_HASH } from "../machines/version.ts";
import { checkoutMachine } from "../machines/checkout.ts";
import { assertUnreleased, fileOf, releasedVersions, writeReleased } from "./reachable/released-versions.ts";
import { assertVersionWritten } from "./machine-version.ts";
import { say } from "./output.ts";
import { recordGraph } from "./reachable/record.ts";

try {
  assertReleasable();
  const today = new Date().toISOString().slice(0, "YYYY-MM-DD".length);
  const version = writeReleased(recordGraph(checkoutMachine, MACHINE_HASH), today);
  say(
    `Released ${fileOf(version)}: ${version.states} states, ${version.edges} edges. Commit it with machines/released/versions.json.`,
  );
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Before the walk, which takes seconds. */
function assertReleasable(): void {
  assertVersionWritten();
  assertUnreleased(MACHINE_HASH, releasedVersions());
}
