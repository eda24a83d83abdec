/** `npm run removals`: the tests as ever, with the removal of that number made in the file that it names, while it is loaded. */
import { resolve } from "node:path";
import { defineConfig, type Plugin } from "vitest/config";
import { REMOVALS } from "./removals.ts";
import { GLOBAL_SETUP, SHARED } from "../../vitest.config.ts";

const removal = REMOVALS[Number(process.env["REMOVAL"])];
if (removal === undefined) throw new Error("REMOVAL must be the number of a removal.");
const { file, text, instead } = removal;

const remove: Plugin = {
  name: "removal",
  enforce: "pre",
  transform(code, id) {
    if (id !== resolve(file)) return null;
    if (!code.includes(text)) throw new Error(`${file} no longer has this: ${text}`);
    return code.replaceAll(text, () => instead);
  },
};

export default defineConfig({
  plugins: [remove],
  test: { ...SHARED, globalSetup: GLOBAL_SETUP, include: ["test/**/*.test.ts"] },
});
