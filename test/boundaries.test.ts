import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findViolations } from "../scripts/boundaries.ts";

const ROOT = resolve(import.meta.dirname, "..");

describe("who may import whom", () => {
  const refused: readonly (readonly [path: string, target: string])[] = [
    ["machines/checkout.ts", "../steps/ports.ts"],
    ["steps/create-preferences.ts", "../services/orders.ts"],
    ["steps/create-preferences.ts", "../persistence/store.ts"],
    ["services/orders.ts", "../runtime/orchestrator.ts"],
    ["services/orders.ts", "../persistence/sql-store.ts"],
    ["services/orders.ts", "../persistence/store.ts"],
    ["locking/redis-locks.ts", "../persistence/connect.ts"],
    ["locking/sql-locks.ts", "../persistence/sql-store.ts"],
    ["locking/sql-locks.ts", "../messaging/bus.ts"],
    ["persistence/sql-store.ts", "../messaging/bus.ts"],
    ["persistence/sql-store.ts", "../locking/lock-manager.ts"],
    ["messaging/in-process-bus.ts", "../persistence/store.ts"],
    ["runtime/committer.ts", "../persistence/sql-store.ts"],
    ["runtime/committer.ts", "../locking/sql-locks.ts"],
    ["runtime/committer.ts", "../services/orders.ts"],
    ["runtime/deep/er.ts", "../../server/app.ts"],
    ["server/app.ts", "../persistence/sql-store.ts"],
    ["server/app.ts", "../locking/redis-locks.ts"],
    ["server/main.ts", "../test/support/servers.ts"],
    ["server/main.ts", "../bench/throughput.ts"],
    ["bench/throughput.ts", "../test/support/servers.ts"],
    ["test/checkout.test.ts", "../bench/throughput.ts"],
    ["drizzle.config.ts", "./test/support/servers.ts"],
  ];

  test.each(refused)("%s may not import %s", (path, target) => {
    expect(findViolations([{ path, text: `import { thing } from "${target}";` }])).toMatchObject([
      { path, line: 1, rule: "import" },
    ]);
  });

  const allowed: readonly (readonly [path: string, target: string])[] = [
    ["machines/checkout.ts", "./events.ts"],
    ["steps/create-preferences.ts", "../machines/context.ts"],
    ["services/orders.ts", "../persistence/order-schema.ts"],
    ["services/orders.ts", "../persistence/connect.ts"],
    ["locking/sql-locks.ts", "../persistence/schema.ts"],
    ["runtime/committer.ts", "../persistence/store.ts"],
    ["server/main.ts", "../locking/redis-locks.ts"],
    ["server/wiring.ts", "../persistence/sql-store.ts"],
    ["test/locking/sql-locks.test.ts", "../../locking/sql-locks.ts"],
    ["machines/checkout.ts", "xstate"],
  ];

  test.each(allowed)("%s may import %s", (path, target) => {
    expect(findViolations([{ path, text: `import { thing } from "${target}";` }])).toEqual([]);
  });

  const forms = [
    `import "../steps/ports.ts";`,
    `import type { Clock } from "../steps/ports.ts";`,
    `import {\n  type Clock,\n} from "../steps/ports.ts";`,
    `import * as ports from '../steps/ports.ts';`,
    `export * from "../steps/ports.ts";`,
    `export type { Clock } from "../steps/ports.ts";`,
    `const ports = await import("../steps/ports.ts");`,
    "const ports = await import(`../steps/ports.ts`);",
    `type Clock = import("../steps/ports.ts").Clock;`,
  ];

  test.each(forms)("finds the import in: %s", (text) => {
    expect(findViolations([{ path: "machines/planted.ts", text }])).toMatchObject([{ rule: "import" }]);
  });

  test("does not take comments for imports, and counts lines past them", () => {
    const text = `// import "../steps/a.ts"\n/* import "../steps/b.ts"\n */\nconst url = "http://x";\nimport "../steps/c.ts";`;
    expect(findViolations([{ path: "machines/planted.ts", text }])).toMatchObject([
      { line: 5, message: "may not import steps/c.ts" },
    ]);
  });

  test("refuses a folder that nobody decided on", () => {
    expect(findViolations([{ path: "utils/strings.ts", text: "" }])).toMatchObject([{ rule: "folder" }]);
  });
});

describe("clock reads and enums", () => {
  test.each(["new Date()", "new Date( )", "const now = new Date;", "`at ${new Date()}`", "const text = Date();"])(
    "finds %s",
    (text) => {
      for (const folder of ["machines", "steps", "runtime"]) {
        expect(findViolations([{ path: `${folder}/planted.ts`, text }])).toMatchObject([{ rule: "clock" }]);
      }
      expect(findViolations([{ path: "server/clock.ts", text }])).toEqual([]);
    },
  );

  test.each(["new Date(at)", "// new Date()", '"new Date()"', "class X extends Date {}", "parseDate()", "isoDate.toDate()"])(
    "leaves %s alone",
    (text) => {
      expect(findViolations([{ path: "machines/planted.ts", text }])).toEqual([]);
    },
  );

  test.each(["enum Color { Red }", "export enum Color { Red }", "export const enum Color { Red }", "declare enum Color {}"])(
    "finds %s",
    (text) => {
      expect(findViolations([{ path: "services/planted.ts", text }])).toMatchObject([{ rule: "enum" }]);
    },
  );
});

describe("the lint configuration", () => {
  const planted: readonly (readonly [rule: string, path: string, text: string])[] = [
    ["typescript(no-floating-promises)", "server/p01.ts", `async function work() {}\nexport function run() {\n  work();\n}`],
    [
      "typescript(no-misused-promises)",
      "server/p02.ts",
      `export function run(items: string[]) {\n  items.forEach(async () => {});\n}`,
    ],
    ["typescript(no-explicit-any)", "server/p03.ts", `export const value: any = 1;`],
    ["import(no-default-export)", "server/p04.ts", `export default 1;`],
    ["eslint(no-console)", "server/p05.ts", `console.log("x");`],
    ["import(no-cycle)", "server/p06.ts", `import type { B } from "./p06b.ts";\nexport type A = B | 1;`],
    ["", "server/p06b.ts", `import type { A } from "./p06.ts";\nexport type B = A | 2;`],
    [
      "vitest(no-focused-tests)",
      "test/p07.test.ts",
      `import { expect, test } from "vitest";\ntest.only("x", () => expect(1).toBe(1));`,
    ],
    ["eslint(no-restricted-properties)", "machines/p08.ts", `export const at = Date.now();`],
    ["eslint(no-restricted-properties)", "steps/p09.ts", `export const chance = Math.random();`],
    ["eslint(no-restricted-properties)", "runtime/p10.ts", `globalThis.setTimeout(() => {}, 1);`],
    ["eslint(no-restricted-globals)", "runtime/p11.ts", `setTimeout(() => {}, 1);`],
    ["eslint(no-restricted-globals)", "runtime/p12.ts", `setInterval(() => {}, 1);`],
    ["eslint(no-restricted-globals)", "runtime/p13.ts", `setImmediate(() => {});`],
    ["eslint(no-restricted-globals)", "steps/p14.ts", `export const id = crypto.randomUUID();`],
    ["eslint(no-restricted-globals)", "steps/p15.ts", `export const answer = fetch("http://x");`],
    ["eslint(no-restricted-globals)", "machines/p16.ts", `export const at = performance.now();`],
    ["eslint(no-restricted-globals)", "runtime/p17.ts", `export const environment = process.env;`],
    ["eslint(no-restricted-imports)", "runtime/p18.ts", `export { readFile } from "node:fs/promises";`],
    ["eslint(no-restricted-imports)", "runtime/p19.ts", `import { connect } from "node:net";\nexport const c = connect;`],
    [
      "eslint(no-restricted-imports)",
      "runtime/p20.ts",
      `import { setTimeout as wait } from "node:timers/promises";\nexport const w = wait;`,
    ],
    ["eslint(no-restricted-imports)", "steps/p21.ts", `import { randomUUID } from "node:crypto";\nexport const r = randomUUID;`],
    ["eslint(no-restricted-imports)", "steps/p22.ts", `import fs from "fs";\nexport const f = fs;`],
    ["eslint(no-restricted-imports)", "runtime/p23.ts", `import postgres from "postgres";\nexport const p = postgres;`],
    ["eslint(no-restricted-imports)", "runtime/p24.ts", `import { uuidv7 } from "uuidv7";\nexport const u = uuidv7;`],
    ["eslint(no-restricted-imports)", "runtime/p25.ts", `import process from "node:process";\nexport const p = process;`],
  ];
  const innocent: readonly (readonly [path: string, text: string])[] = [
    ["runtime/ok1.ts", `import { createHash } from "node:crypto";\nexport const hash = createHash;`],
    ["server/ok2.ts", `export const at = Date.now();\nsetTimeout(() => {}, 1);`],
    ["machines/ok3.ts", `export const later = (at: number) => new Date(at).toISOString();`],
    ["vitest.config.ts", `export default { test: {} };`],
    ["scripts/ok4.ts", `console.log("x");`],
  ];
  let found: ReadonlyMap<string, readonly string[]>;
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "checkoutd-lint-"));
    for (const name of [".oxlintrc.json", "tsconfig.json"]) copyFileSync(join(ROOT, name), join(directory, name));
    symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
    for (const [path, text] of [...planted.map(([, path, text]) => [path, text] as const), ...innocent]) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), `${text}\n`);
    }
    found = lint(directory);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test.each(planted.filter(([rule]) => rule !== ""))("%s refuses %s", (rule, path) => {
    expect(found.get(path)).toContain(rule);
  });

  test.each(innocent)("accepts %s", (path) => {
    expect(found.get(path)).toBeUndefined();
  });
});

describe("the check itself", () => {
  test("fails with the place of a violation, and passes without one", () => {
    const directory = mkdtempSync(join(tmpdir(), "checkoutd-boundaries-"));
    const run = () =>
      spawnSync(process.execPath, ["--import", "tsx", join(ROOT, "scripts/check-boundaries.ts")], options(directory));
    try {
      symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
      expect(run()).toMatchObject({ status: 1 });
      mkdirSync(join(directory, "machines"));
      writeFileSync(join(directory, "machines/a.ts"), `import "../steps/ports.ts";\n`);
      expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining("machines/a.ts:1") as unknown });
      writeFileSync(join(directory, "machines/a.ts"), "export {};\n");
      expect(run()).toMatchObject({ status: 0 });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

function options(cwd: string) {
  return { cwd, encoding: "utf8", timeout: 30_000 } as const;
}

/** The rules that were broken, by file. */
function lint(directory: string): Map<string, string[]> {
  const { stdout } = spawnSync(join(ROOT, "node_modules/.bin/oxlint"), ["--format", "json"], options(directory));
  const report = JSON.parse(stdout) as { readonly diagnostics: readonly { readonly code: string; readonly filename: string }[] };
  const found = new Map<string, string[]>();
  for (const { code, filename } of report.diagnostics) found.set(filename, [...(found.get(filename) ?? []), code]);
  return found;
}
