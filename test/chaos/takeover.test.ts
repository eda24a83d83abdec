/** A node is killed, or stands still, with checkouts in hand: each goes on elsewhere once its lease has ended and somebody has looked. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { LEASE_TTL_MS } from "../../runtime/node-lease.ts";
import { clientOf, order } from "../support/client.ts";
import { describeOn } from "../support/server.ts";
import { openNodes, type Nodes } from "./nodes.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const CHECKOUTS = 30;
/** A sweep that has just passed, and the time that a claim and a step take. */
const GRACE_MS = 1_000;
const LOOK_MS = 20;

/** A signal arrives a moment after it was sent. */
const DELIVERY_MS = 100;

describeOn("postgres", "a node", (postgresUrl) => {
  let nodes: Nodes;
  beforeAll(async () => {
    nodes = await openNodes(postgresUrl, 3);
  });
  afterAll(() => nodes.close());

  test.each([
    { what: "killed", signal: "SIGKILL", place: 0 },
    // In the middle of transactions, whose rows it keeps locked.
    { what: "stopped", signal: "SIGSTOP", place: 1 },
  ] as const)(
    `is $what, and another one goes on with every checkout that it ran within ${LEASE_TTL_MS + GRACE_MS} ms`,
    async ({ what, signal, place }) => {
      const victim = nodes.all[place];
      if (victim === undefined) throw new Error("There is a node.");
      const shop = clientOf({ request: (path, init) => fetch(`${victim.url}${path}`, init) });
      // Whose connection breaks doesn't ask again: nobody but recovery finds the checkouts.
      const orders = Array.from({ length: CHECKOUTS }, () => order());
      const asked = orders.map((body) => shop.initiate(body, { wait: 0 }).catch(() => undefined));
      await Promise.race(asked);
      process.kill(victim.process.pid, signal);
      const struckAt = Date.now();
      const orphans = await nodes.database.rows<{ id: string }>(
        `select id from checkoutd.contexts
          where owner is not null and cart_id in (select jsonb_array_elements_text($1::text::jsonb))`,
        [JSON.stringify(orders.map(({ cart }) => cart.cartId))],
      );
      expect(orphans.length).toBeGreaterThan(CHECKOUTS / 3);
      const delays = await Promise.all(
        orphans.map(async (orphan) => (await nextEntry(orphan.id, struckAt + DELIVERY_MS)) - struckAt),
      );
      const first = Math.min(...delays);
      const last = Math.max(...delays);
      process.stdout.write(`  ${delays.length} checkouts of a node that was ${what} went on after ${first} to ${last} ms\n`);
      expect(last).toBeLessThanOrEqual(LEASE_TTL_MS + GRACE_MS);
      // Not at once either: its lease protects a node that only stands still.
      expect(first).toBeGreaterThan(LEASE_TTL_MS / 2);
    },
  );

  /** When the first one after that was decided, both in milliseconds since the epoch. */
  async function nextEntry(id: string, after: number): Promise<number> {
    for (;;) {
      const [entry] = await nodes.database.rows<{ at: number | null }>(
        `select (extract(epoch from min(at)) * 1000)::float8 as at from checkoutd.journal
          where context_id = $1 and at > to_timestamp($2::float8 / 1000)`,
        [id, after],
      );
      if (typeof entry?.at === "number") return Math.round(entry.at);
      await sleep(LOOK_MS);
    }
  }
});
