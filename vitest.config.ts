import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/server-desk.ts"],
    // One file at a time, as vitest does on two cores anyway: some tests watch a database's own statistics, or how two
    // nodes race, and a second file beside them would be a third party.
    maxWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
