import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { versionSource } from "../../scripts/machine-version.ts";

test("the hash that is stored with every checkout is that of the machine's sources; `npm run machine:version` writes it", () => {
  expect(readFileSync(new URL("../../machines/version.ts", import.meta.url), "utf8")).toBe(versionSource());
});
