/** Prints "N passed, N failed" from vitest's JSON report. A file that could not even be loaded counts as one failure. */
import { existsSync, readFileSync } from "node:fs";

const path = process.argv[2] ?? "";
if (!existsSync(path)) {
  // No tests ran: whatever came before them failed, and that is one failure.
  process.stdout.write("0 passed, 1 failed\n");
  process.exit(1);
}
const report = JSON.parse(readFileSync(path, "utf8"));
const unloaded = report.testResults.filter(
  (file) => file.status === "failed" && file.assertionResults.every((one) => one.status !== "failed"),
);
const failed = report.numFailedTests + unloaded.length;
process.stdout.write(`${report.numPassedTests} passed, ${failed} failed\n`);
// A run without a single test proves nothing.
process.exit(failed > 0 || report.numPassedTests === 0 ? 1 : 0);
