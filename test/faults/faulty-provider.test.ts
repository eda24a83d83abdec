/**
 * Checkouts over a payment provider that loses one reply in ten after charging, doesn't answer one call in ten, is late
 * with one success in twenty and doubles another; then it is quiet, and nothing may be left between captured and
 * confirmed or refunded.
 *
 *     CHECKOUTS=10000 npx vitest run test/faults/faulty-provider.test.ts -t Postgres
 *
 * CHECKOUTS: how many (default 100, on Postgres alone; with TEST_FULL=1 10,000, and 1,000 embedded). SEED: the stories and
 * faults of an earlier run; how they interleave is up to the machine.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { auditCheckout, type Outcome } from "../../scripts/checkout-audit.ts";
import { moneyBooks } from "../../scripts/reconcile/books.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { systemClock as clock, systemIds as ids } from "../../server/system-ports.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { reconcile } from "../../services/reconciliation.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import { seededChance, shuffled } from "../support/chance.ts";
import { DelayedRequests } from "../support/delayed-requests.ts";
import { FaultyProvider, PROVIDER_FAULTS } from "../support/faulty-provider.ts";
import type { Lookout } from "../support/lookout.ts";
import {
  happenings,
  lateRefundTimes,
  moneyTotals,
  moneyViolations,
  repeatedRefundTimes,
  unrest,
} from "../support/payment-books.ts";
import { startService, type Service } from "../support/service.ts";
import { hastyFlags, letShop, type Crowd } from "../support/shoppers.ts";
import { onServersFirst } from "../support/stage.ts";

const isFull = process.env["TEST_FULL"] === "1";
/** A hundred is a whole deck of stories: fewer can't meet every fault. */
const SIZE = {
  embedded: Number(process.env["CHECKOUTS"] ?? (isFull ? 1_000 : 100)),
  postgres: Number(process.env["CHECKOUTS"] ?? (isFull ? 10_000 : 100)),
};
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

/** Longer than anything takes; those who are to be late have a deadline of their own. */
const PAYMENT_DEADLINE_MS = 60_000;
/** One number a node: that of the second lets the checkouts that wait leave its memory. */
const POLLS_MS = { embedded: [700], postgres: [700, 6_000] };
/** Few enough that a small machine keeps up: what waits for the processor is late for no other reason. */
const IN_FLIGHT = { embedded: 8, postgres: 20 };
/** The refund's own promise, and the time in which everything must come to rest once the provider is quiet. */
const LATE_REFUND_P99_MS = 5_000;
const REST_MAX_MS = 60_000;
const LOOK_MS = 500;
const AUDITED = 200;
const PROGRESS_EVERY = 1_000;
/** Of the largest run on a small machine; one that takes longer has stalled. */
const RUN_MAX_MS = 30 * 60_000;

vi.setConfig({ testTimeout: RUN_MAX_MS, hookTimeout: RUN_MAX_MS });

onServersFirst("a faulty payment provider", (stage, kind) => {
  const chance = seededChance(SEED);
  const provider = new FaultyProvider(chance);
  const delayed = new DelayedRequests();
  let nodes: readonly Service[] = [];
  let crowd: Crowd;
  let restless: readonly string[];

  beforeAll(async () => {
    const begunAt = performance.now();
    const seconds = () => `${((performance.now() - begunAt) / 1_000).toFixed(1)} s`;
    nodes = await Promise.all(
      POLLS_MS[kind].map((paymentPollMs) => {
        const policy = { paymentDeadlineMs: PAYMENT_DEADLINE_MS, paymentPollMs };
        const aroundServices = (services: CheckoutServices) => {
          return { ...services, flags: hastyFlags, payments: delayed.around(services.payments) };
        };
        return startService(stage(), { policy, aroundServices, aroundProvider: provider.around });
      }),
    );
    const bank = new SimulatedProvider({ database: stage().database, ids, clock });
    say(`${kind}, ${nodes.length} node(s), ${SIZE[kind]} checkouts, ${IN_FLIGHT[kind]} in flight, SEED=${SEED}`);
    const watch = (see: Lookout["see"]) => {
      const stops = nodes.map(({ orchestrator }) => orchestrator.watch(see));
      return () => stops.forEach((stop) => stop());
    };
    crowd = await letShop({ nodes, watch, bank, chance }, SIZE[kind], IN_FLIGHT[kind], (over) => {
      if (over % PROGRESS_EVERY === 0) say(`  ${over} after ${seconds()}`);
    });
    say(`  the last client was gone after ${seconds()}`);
    provider.quiet();
    await delayed.arrived();
    restless = await comeToRest(stage().database);
    say(`  at rest after ${seconds()}`);
  });
  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  test("meets every kind of fault", async () => {
    const struck = Object.fromEntries(PROVIDER_FAULTS.map((fault) => [fault, provider.count(fault)]));
    const doors = {
      "requests after their undo": delayed.refused,
      "webhooks doubled": nodes.reduce((sum, { counters }) => sum + counters.get("payment_events_duplicate"), 0),
    };
    const faults = { ...struck, ...doors, ...(await happenings(stage().database)) };
    say(`  faults:  ${listed(Object.entries(faults))}`);
    say(`  stories: ${listed(crowd.played)}`);
    say(`  answers: ${listed(crowd.answers)}`);
    // A hundred checkouts may go without a request that is later than its undo: test/service/rollback-table.test.ts makes them.
    const rare = isFull ? [] : ["requests after their undo"];
    const missed = Object.keys(faults).filter((name) => faults[name as keyof typeof faults] === 0);
    expect(missed.filter((name) => !rare.includes(name))).toEqual([]);
  });

  test("no client was told anything that it should not be told, and no story broke off", () => {
    expect(crowd.surprises).toEqual([]);
  });

  test("everything comes to rest once the provider is quiet", () => {
    expect(restless).toEqual([]);
  });

  test("nothing is captured without being confirmed or refunded, nothing is confirmed without being captured", async () => {
    const { database } = stage();
    const totals = await moneyTotals(database);
    const { checkouts, confirmed, rolledBack, captures, refundedCaptures, captured, refunded, due } = totals;
    const endings = await database.rows<{ reason: string; count: number }>(
      `select coalesce(data->>'reason', 'CONFIRMED') as reason, count(*)::int as count from checkoutd.outbox
        where type in ('checkout_completed', 'checkout_rolled_back') group by 1 order by 2 desc`,
    );
    say(
      `  endings: ${confirmed} confirmed, ${rolledBack} rolled back (${listed(endings.map((row) => [row.reason, row.count]))})`,
    );
    say(`  money:   ${captures} captures of ${captured}; ${refundedCaptures} given back, ${refunded}; confirmed ${due}`);
    expect(await moneyViolations(database)).toEqual([]);
    expect(checkouts).toBe(SIZE[kind]);
    expect(confirmed + rolledBack).toBe(SIZE[kind]);
    expect(captured - refunded).toBe(due);
    expect(await new SqlStore(database).unsettled(0, 10)).toEqual([]);
  });

  test(`gives money that came too late back within ${LATE_REFUND_P99_MS} ms of its event (p99)`, async () => {
    const late = await lateRefundTimes(stage().database);
    say(`  late refunds, from the event's arrival to the refund's journal entry: ${spread(late)}`);
    say(
      `  refunds that the bank sent back, from its news to the next one: ${spread(await repeatedRefundTimes(stage().database))}`,
    );
    expect(late.length).toBeGreaterThan(0);
    expect(percentile(late, 0.99)).toBeLessThan(LATE_REFUND_P99_MS);
  });

  test("the reconciliation finds no difference", async () => {
    const { database } = stage();
    const books = moneyBooks(database, new SqlStore(database));
    const input = { provider: new SimulatedProvider({ database, ids, clock }), books, settleMs: 0, onProgress: () => {} };
    const { differences, stillMoving } = await reconcile({ ...input, startedAt: clock.now() + 1 });
    expect({ differences, stillMoving }).toEqual({ differences: [], stillMoving: 0 });
  });

  test(`the audit finds nothing wrong with ${AUDITED} of them`, async () => {
    const { database } = stage();
    const all = await database.rows<{ id: string; status: Outcome }>("select id, status from checkoutd.contexts order by id");
    const wrong: string[] = [];
    for (const { id, status } of shuffled(all, chance).slice(0, AUDITED)) {
      const { violations } = await auditCheckout(database, id, status);
      wrong.push(...violations.map((violation) => `${id} ${status}: ${violation}`));
    }
    expect(wrong).toEqual([]);
  });
});

/** Empty once nothing goes on any more; what still does when the time is up. */
async function comeToRest(database: Database): Promise<readonly string[]> {
  const until = clock.now() + REST_MAX_MS;
  for (;;) {
    const restless = await unrest(database);
    if (restless.length === 0 || clock.now() > until) return restless;
    await new Promise<void>((resume) => clock.after(LOOK_MS, resume));
  }
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function spread(sorted: readonly number[]): string {
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => Math.round(percentile(sorted, share)));
  return `${sorted.length}, p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
}

function listed(counts: Iterable<readonly [string, number]>): string {
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
}

function say(line: string): void {
  process.stdout.write(`  ${line}\n`);
}
