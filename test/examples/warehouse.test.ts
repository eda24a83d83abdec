/** The example of a subscriber: it runs on a real broker, and survives its own death. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Warehouse } from "../../examples/warehouse/warehouse.ts";
import { Desk, eventOf } from "../subscribe/desk.ts";
import { describeOn } from "../support/server.ts";

/** A loaded machine takes seconds to start a process, and PGlite in it. */
const PATIENT = { timeout: 90_000, interval: 50 };
const TEST_TIMEOUT_MS = 240_000;

interface Run {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
}

function run(servers: string, directory: string): Run {
  const env = { ...process.env, NATS_URL: servers, DATA_DIR: directory };
  const child = spawn(process.execPath, ["--import", "tsx", "examples/warehouse/main.ts"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const lines: string[] = [];
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  return { child, lines };
}

describeOn("nats", "the warehouse on a real NATS", () => {
  test(
    "reserves what is confirmed and releases what is reverted, once, also when it is killed in between",
    { timeout: TEST_TIMEOUT_MS },
    async () => {
      await using desk = await Desk.start();
      const directory = await mkdtemp(join(tmpdir(), "checkoutd-test-warehouse-"));
      const items = (checkout: string, seq: number, type: string) => ({
        ...eventOf(checkout, seq, type, 1),
        data:
          type === "line_items_reverted"
            ? { lineItemIds: [`${checkout}_1`, `${checkout}_2`] }
            : { lineItems: [{ lineItemId: `${checkout}_1` }, { lineItemId: `${checkout}_2` }] },
      });
      await desk.publish(eventOf("ctx_a", 1, "checkout_initiated", 1), items("ctx_a", 2, "line_items_confirmed"));
      const first = run(desk.server.url, directory);
      await expect.poll(() => first.lines, PATIENT).toContain("ctx_a:2  line_items_confirmed  ctx_a_1 ctx_a_2");
      first.child.kill("SIGKILL");
      await once(first.child, "exit");
      await desk.publish(items("ctx_a", 2, "line_items_confirmed"), eventOf("ctx_b", 1, "checkout_initiated", 1));
      await desk.publish(items("ctx_b", 2, "line_items_confirmed"), items("ctx_b", 3, "line_items_reverted"));
      const second = run(desk.server.url, directory);
      await expect.poll(() => second.lines, PATIENT).toContain("ctx_b:3  line_items_reverted  ctx_b_1 ctx_b_2");
      second.child.kill("SIGTERM");
      expect(await once(second.child, "exit")).toEqual([0, null]);
      expect(second.lines).toEqual([
        "the warehouse is open",
        "ctx_b:2  line_items_confirmed  ctx_b_1 ctx_b_2",
        "ctx_b:3  line_items_reverted  ctx_b_1 ctx_b_2",
      ]);
      const warehouse = await Warehouse.open(directory);
      expect(await warehouse.reservations()).toEqual({
        ctx_a_1: "RESERVED",
        ctx_a_2: "RESERVED",
        ctx_b_1: "RELEASED",
        ctx_b_2: "RELEASED",
      });
      // The second of two that believe they hold an event changes nothing.
      await expect(warehouse.handle(items("ctx_a", 2, "line_items_reverted"), { from: 1, to: 2 })).rejects.toThrow(
        "somebody else",
      );
      await expect(warehouse.handle(items("ctx_a", 1, "line_items_reverted"), { from: 0, to: 1 })).rejects.toThrow(
        "somebody else",
      );
      await expect(warehouse.handle(items("ctx_c", 9, "line_items_reverted"), { from: 8, to: 9 })).rejects.toThrow(
        "somebody else",
      );
      expect(await warehouse.reservations()).toMatchObject({ ctx_a_1: "RESERVED" });
      expect([
        await warehouse.advance("ctx_a", 1, 2),
        await warehouse.advance("ctx_a", 2, 3),
        await warehouse.last("ctx_a"),
      ]).toEqual([2, 3, 3]);
      await warehouse.close();
      await rm(directory, { recursive: true, force: true });
    },
  );
});
