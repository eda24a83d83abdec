/**
 * Many checkouts that wait for their payment cost a node nothing: no memory, no time of a payment that arrives, none of the
 * sweeps. Each beside a node with few of them.
 *
 *     WAITING=10000 npm run measure -- waiting
 *
 * WAITING: how many on Postgres (50,000; their copies take minutes to make).
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MACHINE_HASH } from "../../machines/version.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { exampleRequest, follow, initiate, isAwaitingPayment, isEnding, type Transition } from "../../scripts/demo/client.ts";
import type { ServiceProcess } from "../../scripts/service-process.ts";
import { signedDelivery } from "../../server/webhook-signature.ts";
import { WEBHOOK_SECRET } from "../support/client.ts";
import { compiled } from "../support/compiled.ts";
import { describeOn } from "../support/server.ts";
import { embeddedHome, postgresHome, type ServiceHome } from "../support/service-process.ts";
import { isLong, median, quantile, tell, timed } from "./figures.ts";
import { copyWaiting, type WaitingCheckout } from "./waiting-crowd.ts";

const MANY = Number(process.env["WAITING"] ?? (isLong ? 50_000 : 300));
const EVENTS = isLong ? 200 : 15;
const WARM_UP_EVENTS = isLong ? 20 : 5;
const FEW = EVENTS + WARM_UP_EVENTS + 50;
const HEAP_ROUNDS = isLong ? 3 : 1;
const SWEEP_ROUNDS = isLong ? 50 : 10;
/** By then every sweep of the runtime has run at least once. */
const IDLE_MS = 4_000;
const HEAP_RATIO_MAX = 1.1;
const LATENCY_RATIO_MAX = 1.5;
/** A sweep with nothing to do, with many waiting. */
const SWEEP_MS_MAX = 50;
const TIMEOUT_MS = 900_000;
/** A payment that takes so long never comes: its checkout was parked, say. */
const PAYMENT_MS_MAX = 20_000;
const DAY_MS = "86400000";
/** Nothing but their payment wakes them. */
const ENV = { PAYMENT_WEBHOOK_SECRET: WEBHOOK_SECRET, PAYMENT_DEADLINE_MS: DAY_MS, PAYMENT_POLL_MS: DAY_MS, LOG_LEVEL: "error" };
const HEAP_ENTRY = new URL("heap-main.ts", import.meta.url);

if (isLong) waiting("embedded", 5_000, () => embeddedHome());
else process.stdout.write("  waiting checkouts: on Postgres alone (npm run measure -- waiting has them embedded too)\n");
describeOn("postgres", "with a server", (postgresUrl) =>
  describeOn("redis", "and locks in Redis", (redisUrl) => {
    waiting("on Postgres", MANY, () => postgresHome(postgresUrl, redisUrl));
  }),
);

function waiting(where: string, many: number, openHome: () => Promise<ServiceHome>): void {
  describe(`${many} waiting checkouts, ${where}`, () => {
    let homes: Record<"none" | "few" | "many", ServiceHome>;
    let waitingIn: Record<"few" | "many", readonly WaitingCheckout[]>;
    let directory: string;
    beforeAll(async () => {
      homes = { none: await openHome(), few: await openHome(), many: await openHome() };
      directory = await mkdtemp(join(tmpdir(), "checkoutd-measure-"));
      waitingIn = { few: await crowd(homes.few, FEW), many: await crowd(homes.many, many) };
      // So that the first start, which makes the tables, is not the one that is measured.
      await started(homes.none, (node) => node.url());
    }, TIMEOUT_MS);
    afterAll(async () => {
      for (const home of Object.values(homes)) await home.remove();
      await rm(directory, { recursive: true });
    });

    test("take no memory", { timeout: TIMEOUT_MS }, async () => {
      const heaps = { none: [] as number[], many: [] as number[] };
      for (let round = 0; round < HEAP_ROUNDS; round++) {
        for (const which of ["none", "many"] as const)
          heaps[which].push(await heapOf(homes[which], join(directory, `${which}-${round}`)));
      }
      const [none, some] = [median(heaps.none), median(heaps.many)];
      tell(
        `${where}, heap of a fresh process: ${mib(none)} with nothing, ${mib(some)} with ${many} waiting; ratio ${(some / none).toFixed(3)}`,
      );
      expect(some / none, "heap in use after collection").toBeLessThan(HEAP_RATIO_MAX);
    });

    test("leave a payment that arrives its speed", { timeout: TIMEOUT_MS }, async () => {
      const nodes = [homes.few, homes.many].map((home) => home.spawn({ env: ENV }));
      const [few = "", crowded = ""] = await Promise.all(nodes.map((node) => node.url()));
      const times = { few: [] as number[], many: [] as number[] };
      const random = shuffled(waitingIn.many);
      for (let event = 0; event < WARM_UP_EVENTS + EVENTS; event++) {
        const pair = { few: await paid(few, waitingIn.few[event]), many: await paid(crowded, random[event]) };
        if (event >= WARM_UP_EVENTS) for (const which of ["few", "many"] as const) times[which].push(pair[which]);
      }
      for (const node of nodes) await node.kill("SIGTERM");
      for (const share of [0.5, 0.99]) {
        const [alone, among] = [quantile(times.few, share), quantile(times.many, share)];
        const ratio = among / alone;
        tell(
          `${where}, payment to COMPLETED, p${share * 100} of ${EVENTS}: ${(alone * 1_000).toFixed(1)} ms with ${FEW} waiting, ` +
            `${(among * 1_000).toFixed(1)} ms with ${many}; ratio ${ratio.toFixed(2)}`,
        );
        // Of a few events the slowest says more of the machine than of us.
        if (share === 0.5 || isLong) expect(ratio, `p${share * 100}`).toBeLessThan(LATENCY_RATIO_MAX);
      }
    });

    test("cost the sweeps nothing: each reads by an index", { timeout: TIMEOUT_MS }, async () => {
      const sweeps = { few: await homes.few.inspect(sweepTimes), many: await homes.many.inspect(sweepTimes) };
      for (const [name, ms] of Object.entries(sweeps.many)) {
        tell(`${where}, ${name}: ${(sweeps.few[name] ?? 0).toFixed(2)} ms with ${FEW} waiting, ${ms.toFixed(2)} ms with ${many}`);
        expect(ms, `${name}, in milliseconds`).toBeLessThan(SWEEP_MS_MAX);
      }
      // A table of some pages is best read whole.
      if (isLong) expect(await homes.many.inspect(tablesReadWhole)).toEqual([]);
    });
  });
}

/** One that came there by itself, and its copies. */
async function crowd(home: ServiceHome, copies: number): Promise<readonly WaitingCheckout[]> {
  const original = await started(home, async (node) => {
    const request = exampleRequest(`cart_${randomUUID().replaceAll("-", "")}`, "ins_async");
    const { body } = await initiate(await node.url(), `key_${randomUUID().replaceAll("-", "")}`, request, 25);
    const { pcrId, attemptId } = body.payment ?? {};
    if (!pcrId || !attemptId) throw new Error(`It waits for no payment: ${JSON.stringify(body)}`);
    return { executionContextId: body.executionContextId, pcrId, attemptId };
  });
  return home.inspect((database) => copyWaiting(database, original, copies));
}

async function started<Result>(home: ServiceHome, use: (node: ServiceProcess) => Promise<Result>): Promise<Result> {
  const node = home.spawn({ env: ENV });
  const result = await use(node);
  await node.kill("SIGTERM");
  return result;
}

/** In bytes. */
async function heapOf(home: ServiceHome, file: string): Promise<number> {
  const node = home.spawn({ entry: await compiled(HEAP_ENTRY), env: ENV });
  await node.url();
  await sleep(IDLE_MS);
  node.tell(file);
  while (!existsSync(file)) await sleep(10);
  await node.kill("SIGKILL");
  return Number(await readFile(file, "utf8"));
}

/** Seconds from the event's departure until its client hears of COMPLETED, which is told after it is committed. */
async function paid(url: string, checkout: WaitingCheckout | undefined): Promise<number> {
  if (checkout === undefined) throw new Error("there are too few");
  const leaving = new AbortController();
  const transitions = follow(
    url,
    checkout.executionContextId,
    0,
    AbortSignal.any([leaving.signal, AbortSignal.timeout(PAYMENT_MS_MAX)]),
  );
  // The stream is open once it has told what was.
  await nextThat(transitions, isAwaitingPayment);
  const seconds = await timed(async () => {
    const { headers, body } = signedDelivery(WEBHOOK_SECRET, successOf(checkout));
    const init = { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: Buffer.from(body) };
    expect((await fetch(`${url}/orchestration/payments/events`, init)).status).toBe(200);
    await nextThat(transitions, isEnding);
  });
  leaving.abort();
  return seconds;
}

async function nextThat(transitions: AsyncGenerator<Transition>, isIt: (transition: Transition) => boolean): Promise<void> {
  for (let isFound = false; !isFound;) {
    const { value, done } = await transitions.next();
    if (done === true) throw new Error("the stream ended before the checkout did");
    isFound = isIt(value);
  }
}

function successOf({ pcrId, attemptId }: WaitingCheckout) {
  const timestamp = new Date().toISOString();
  const money = { pspReference: `psp_${randomUUID()}`, amount: 249_900, currency: "INR" };
  const data = { eventId: randomUUID(), pcrId, attemptId, occurredAt: timestamp, ...money };
  return { type: "payment_collection_requirement_success" as const, timestamp, data };
}

const EVERY_SHARD = Array.from({ length: 16 }, (_, shard) => shard);

/** What a node asks again and again. */
function sweepsOf(store: SqlStore): Readonly<Record<string, () => Promise<unknown>>> {
  return {
    claimRunnable: () => store.claimRunnable("node_sweeping", 200),
    owned: () => store.owned("node_sweeping", 10_000),
    unpublished: () => store.unpublished(EVERY_SHARD, 500),
    backlog: () => store.backlog(),
    unsettled: () => store.unsettled(60_000, 100),
  };
}

/** Milliseconds, the median of each. */
async function sweepTimes(database: Database): Promise<Record<string, number>> {
  const store = new SqlStore(database);
  await store.heartbeat("node_sweeping", 600_000, [MACHINE_HASH]);
  const times: Record<string, number> = {};
  for (const [name, sweep] of Object.entries(sweepsOf(store))) {
    const seconds: number[] = [];
    for (let round = 0; round < SWEEP_ROUNDS; round++) seconds.push(await timed(sweep));
    times[name] = median(seconds) * 1_000;
  }
  return times;
}

/** Tables with a row for each waiting checkout that a sweep would read from end to end. */
async function tablesReadWhole(database: Database): Promise<readonly string[]> {
  const plans: unknown[] = [];
  const explained: Database = {
    ...database,
    rows: async <Row>(text: string, parameters?: readonly unknown[]) => {
      plans.push(await database.rows(`explain (format json) ${text}`, parameters));
      return [] as Row[];
    },
  };
  // `backlog` reads a row that a plan is not.
  for (const sweep of Object.values(sweepsOf(new SqlStore(explained)))) await sweep().catch(() => undefined);
  expect(plans).toHaveLength(Object.keys(sweepsOf(new SqlStore(database))).length);
  const scans = JSON.stringify(plans).matchAll(/"Node Type":"Seq Scan"[^{}]*?"Relation Name":"(\w+)"/g);
  const large = await database.rows<{ relname: string }>("select relname from pg_class where relkind = 'r' and reltuples > 1000");
  return [...scans].map(([, table = ""]) => table).filter((table) => large.some(({ relname }) => relname === table));
}

function shuffled<Item>(items: readonly Item[]): readonly Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
