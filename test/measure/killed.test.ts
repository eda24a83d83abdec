/**
 * kill -9 of a node with many checkouts in the midst of their steps: how long until all have ended, and how many effects were
 * made twice. Beside it, the time that as many new checkouts take from their first step on.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { exampleRequest, getCheckout, initiate } from "../../scripts/demo/client.ts";
import type { ServiceProcess } from "../../scripts/service-process.ts";
import { compiled } from "../support/compiled.ts";
import { describeOn } from "../support/server.ts";
import { embeddedHome, postgresHome, type ServiceHome } from "../support/service-process.ts";
import { isLong, tell } from "./figures.ts";

/** In the long form as many as a node holds. */
const CHECKOUTS = isLong ? 2_000 : 30;
/** A checkout has 13 steps: with so slow ones, none ends before the last one is begun. */
const SLOW_STEP_MS = isLong ? 5_000 : 400;
const CLIENTS = 32;
/** What a dead node left ends sooner than as many new ones do: it is further on. Few of them say more of a cold process. */
const RATIO_MAX = isLong ? 1 : 2;
/** Of a dead node's lease, the look for it included. Nobody may go on before its end. */
const LEASE_SECONDS_MAX = 12;
const LOOK_MS = 50;
const TIMEOUT_MS = 900_000;
const ENTRY = new URL("slow-main.ts", import.meta.url);

describe("kill -9 in the midst of steps, embedded", () => {
  const setting = settingOf(() => embeddedHome());

  test("all end on the node that is started again", { timeout: TIMEOUT_MS }, async () => {
    const { spawn, doubled } = await setting();
    const fresh = await spawn(0);
    await fresh.url();
    const began = performance.now();
    await untilConfirmed(fresh, await begin(fresh));
    const freshSeconds = secondsSince(began);
    await fresh.kill("SIGKILL");
    const doomed = await spawn(SLOW_STEP_MS);
    const ids = await begin(doomed);
    await doomed.kill("SIGKILL");
    const killedAt = performance.now();
    const next = await spawn(0);
    await next.url();
    const servesAfter = secondsSince(killedAt);
    await untilConfirmed(next, ids);
    judge({
      where: "embedded, started again",
      fresh: freshSeconds,
      from: servesAfter,
      ended: secondsSince(killedAt),
      doubled: await doubled(),
    });
  });
});

if (!isLong)
  process.stdout.write(
    "  kill -9: embedded alone (npm run measure -- killed has it on Postgres, where a dead node's lease must end)\n",
  );
describe.runIf(isLong)("kill -9 in the midst of steps", () => {
  describeOn("postgres", "on Postgres", (postgresUrl) =>
    describeOn("redis", "with locks in Redis", (redisUrl) => {
      const setting = settingOf(() => postgresHome(postgresUrl, redisUrl));
      let fresh = Number.NaN;

      test("what as many new checkouts take", { timeout: TIMEOUT_MS }, async () => {
        const { spawn, home } = await setting();
        const node = await spawn(0);
        await node.url();
        fresh = await home.inspect(async (database) => {
          const began = performance.now();
          await begin(node);
          await untilEnded(database);
          return secondsSince(began);
        });
        await node.kill("SIGTERM");
      });

      test.each([
        ["started again", false],
        ["that ran beside it", true],
      ])("all end on a node %s", { timeout: TIMEOUT_MS }, async (where, isBeside) => {
        const { spawn, home, doubled } = await setting();
        const doomed = await spawn(SLOW_STEP_MS);
        await doomed.url();
        const heir = isBeside ? await spawn(0) : null;
        await heir?.url();
        await begin(doomed);
        await doomed.kill("SIGKILL");
        const killedAt = performance.now();
        const next = heir ?? (await spawn(0));
        const { first, last } = await home.inspect((database) => takenOver(database, killedAt));
        await home.inspect(untilEnded);
        const ended = secondsSince(killedAt);
        await next.kill("SIGTERM");
        tell(`on a node ${where}: taken over from ${first.toFixed(1)} s to ${last.toFixed(1)} s after the kill`);
        expect(first, "seconds until the lease of the dead node was over").toBeLessThan(LEASE_SECONDS_MAX);
        judge({ where: `on a node ${where}`, fresh, from: first, ended, doubled: await doubled() });
      });
    }),
  );
});

interface Outcome {
  readonly where: string;
  /** In seconds: what as many new ones take; from the kill until it could go on; and until all had ended. */
  readonly fresh: number;
  readonly from: number;
  readonly ended: number;
  /** Effects that were made once more than needed. */
  readonly doubled: number;
}

function judge({ where, fresh, from, ended, doubled }: Outcome): void {
  const ratio = (ended - from) / fresh;
  tell(
    `${CHECKOUTS} in flight, ${where}: all ended ${ended.toFixed(1)} s after the kill, ${(ended - from).toFixed(1)} s after it could ` +
      `go on; as many new ones take ${fresh.toFixed(1)} s, ratio ${ratio.toFixed(2)}; ${(doubled / CHECKOUTS).toFixed(2)} repeated calls a checkout`,
  );
  expect(doubled, "at most the one that was in flight").toBeLessThanOrEqual(CHECKOUTS);
  expect(ratio, "of the time that as many new ones take").toBeLessThan(RATIO_MAX);
}

interface Setting {
  readonly home: ServiceHome;
  /** With steps that take so long. */
  readonly spawn: (stepMs: number) => Promise<ServiceProcess>;
  /** Effects beyond the first of their key, of the processes since the last call. */
  readonly doubled: () => Promise<number>;
}

function settingOf(openHome: () => Promise<ServiceHome>): () => Promise<Setting> {
  let home: ServiceHome;
  let directory: string;
  beforeAll(async () => {
    home = await openHome();
    directory = await mkdtemp(join(tmpdir(), "checkoutd-measure-"));
  });
  afterAll(async () => {
    await home.remove();
    await rm(directory, { recursive: true });
  });
  return async () => {
    const effects = join(directory, "effects");
    const entry = await compiled(ENTRY);
    return {
      home,
      spawn: async (stepMs) => home.spawn({ entry, env: { EFFECTS: effects, STEP_MS: String(stepMs), LOG_LEVEL: "error" } }),
      doubled: async () => {
        const made = (await readFile(effects, "utf8")).trim().split("\n");
        return made.length - new Set(made).size;
      },
    };
  };
}

/** Nobody waits for an answer. The ids. */
async function begin(node: ServiceProcess): Promise<readonly string[]> {
  const url = await node.url();
  const ids: string[] = [];
  let begun = 0;
  const client = async () => {
    while (begun++ < CHECKOUTS) {
      const { body } = await initiate(url, randomUUID(), exampleRequest(`cart_${randomUUID()}`, "ins_sync_ok"), 0);
      ids.push(body.executionContextId);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return ids;
}

async function untilConfirmed(node: ServiceProcess, ids: readonly string[]): Promise<void> {
  const url = await node.url();
  for (const id of ids) await until(async () => (await getCheckout(url, id)).status === "CONFIRMED");
}

async function untilEnded(database: Database): Promise<void> {
  await until(async () => (await database.rows("select from checkoutd.contexts where finished_at is null limit 1")).length === 0);
}

/** In seconds since the kill: the first and the last that another node took. */
async function takenOver(database: Database, killedAt: number): Promise<{ readonly first: number; readonly last: number }> {
  const inFlight = "select owner, count(*)::integer as number from checkoutd.contexts where finished_at is null group by owner";
  const [dead] = await database.rows<{ owner: string; number: number }>(inFlight);
  expect(dead?.number, "in flight at the kill").toBe(CHECKOUTS);
  const left = async () => {
    const orphans = "select count(*)::integer as number from checkoutd.contexts where owner = $1";
    return (await database.rows<{ number: number }>(orphans, [dead?.owner]))[0]?.number ?? 0;
  };
  await until(async () => (await left()) < CHECKOUTS);
  const first = secondsSince(killedAt);
  await until(async () => (await left()) === 0);
  return { first, last: secondsSince(killedAt) };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(LOOK_MS);
}

function secondsSince(beganAt: number): number {
  return (performance.now() - beganAt) / 1_000;
}
