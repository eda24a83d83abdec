import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import type { AcquireResult, LockManager } from "../../locking/lock-manager.ts";

/** Longer than any test: a lease that must not lapse by itself. */
const LONG_MS = 60_000;
/** A lease that is meant to lapse. */
const SHORT_MS = 60;
const WORKERS = 12;
const ROUNDS = 40;
const CONTENDED_KEYS = 9;
const KEYS_PER_ROUND = 3;

/**
 * What every `LockManager` must do. Keys are random in each test, so that all tests share one server.
 * `setup` connects, and the suite stops what it returns.
 */
export function lockManagerConformance(name: string, setup: () => Promise<LockManager>): void {
  describe(`LockManager: ${name}`, () => {
    let locks: LockManager;

    beforeAll(async () => {
      locks = await setup();
      return async () => {
        await locks.stop();
        await locks.stop();
      };
    });

    test("answers a ping", async () => {
      await expect(locks.ping()).resolves.toBeUndefined();
    });

    test("takes all keys or none", async () => {
      const [first, second, third] = randomKeys(3);
      await acquired(locks.acquire([second], "anna", LONG_MS));
      expect(await locks.acquire([first, second, third], "ben", LONG_MS)).toMatchObject({ kind: "busy" });
      await acquired(locks.acquire([first, third], "carl", LONG_MS));
    });

    test("names the first of several busy keys in key order", async () => {
      const [first, second] = randomKeys(2);
      await acquired(locks.acquire([first], "anna", LONG_MS));
      await acquired(locks.acquire([second], "carl", LONG_MS));
      expect(await locks.acquire([second, first], "ben", LONG_MS)).toMatchObject({ kind: "busy", key: first });
    });

    test("names the busy key and the time left", async () => {
      const [free, held] = randomKeys(2);
      await acquired(locks.acquire([held], "anna", LONG_MS));
      const busy = await locks.acquire([free, held], "ben", LONG_MS);
      expect(busy).toMatchObject({ kind: "busy", key: held });
      if (busy.kind !== "busy") return;
      expect(busy.remainingMs).toBeGreaterThan(LONG_MS / 2);
      expect(busy.remainingMs).toBeLessThanOrEqual(LONG_MS);
    });

    test("lets the holder in again, with the same tokens and a new token for a new key", async () => {
      const [held, added] = randomKeys(2);
      const before = await acquired(locks.acquire([held], "anna", LONG_MS));
      const after = await acquired(locks.acquire([added, held], "anna", LONG_MS));
      expect(after[held]).toBe(before[held]);
      expect(after[added]).toBeGreaterThan(0);
    });

    test("prolongs when the holder acquires again", async () => {
      const [key] = randomKeys(1);
      await acquired(locks.acquire([key], "anna", LONG_MS));
      await acquired(locks.acquire([key], "anna", 2 * LONG_MS));
      const busy = await locks.acquire([key], "ben", LONG_MS);
      expect(busy.kind === "busy" && busy.remainingMs).toBeGreaterThan(LONG_MS);
    });

    test("renews all keys of the holder", async () => {
      const keys = randomKeys(2);
      await acquired(locks.acquire(keys, "anna", LONG_MS));
      expect(await locks.renew(keys, "anna", 2 * LONG_MS)).toBe(true);
      const busy = await locks.acquire(keys, "ben", LONG_MS);
      expect(busy.kind === "busy" && busy.remainingMs).toBeGreaterThan(LONG_MS);
    });

    test("renews nothing when one key expired", async () => {
      const [lasting, lapsing] = randomKeys(2);
      await acquired(locks.acquire([lasting], "anna", LONG_MS));
      await acquired(locks.acquire([lapsing], "anna", SHORT_MS));
      await expiry(locks, lapsing);
      expect(await locks.renew([lasting, lapsing], "anna", 3 * LONG_MS)).toBe(false);
      const busy = await locks.acquire([lasting], "ben", LONG_MS);
      expect(busy.kind === "busy" && busy.remainingMs).toBeLessThanOrEqual(LONG_MS);
    });

    test("renews nothing that is another's or unknown", async () => {
      const [mine, theirs, unknown] = randomKeys(3);
      await acquired(locks.acquire([mine], "anna", LONG_MS));
      await acquired(locks.acquire([theirs], "ben", LONG_MS));
      expect(await locks.renew([mine, theirs], "anna", LONG_MS)).toBe(false);
      expect(await locks.renew([mine, unknown], "anna", LONG_MS)).toBe(false);
    });

    test("releases only the owner's own, and says how many", async () => {
      const [mine, theirs, unknown] = randomKeys(3);
      await acquired(locks.acquire([mine], "anna", LONG_MS));
      await acquired(locks.acquire([theirs], "ben", LONG_MS));
      expect(await locks.release([theirs, mine, unknown], "anna")).toBe(1);
      expect(await locks.acquire([theirs], "carl", LONG_MS)).toMatchObject({ kind: "busy", key: theirs });
      await acquired(locks.acquire([mine], "carl", LONG_MS));
      expect(await locks.release([mine], "anna")).toBe(0);
    });

    test("does not release what has expired", async () => {
      const [key] = randomKeys(1);
      await acquired(locks.acquire([key], "anna", SHORT_MS));
      await expiry(locks, key);
      expect(await locks.release([key], "anna")).toBe(0);
    });

    test("grows the token of a key across release", async () => {
      const [key] = randomKeys(1);
      const tokens: number[] = [];
      for (const owner of ["anna", "ben", "anna"]) {
        tokens.push(tokenOf(await acquired(locks.acquire([key], owner, LONG_MS)), key));
        await locks.release([key], owner);
      }
      expectGrowing(tokens);
    });

    test("grows the token of a key across expiry, for the same owner too", async () => {
      const [key] = randomKeys(1);
      const tokens: number[] = [];
      for (const owner of ["anna", "anna", "ben"]) {
        tokens.push(tokenOf(await acquired(locks.acquire([key], owner, SHORT_MS)), key));
        await expiry(locks, key);
      }
      expectGrowing(tokens);
    });

    test("takes unsorted and repeated keys once each", async () => {
      const [low, high] = randomKeys(2);
      const tokens = await acquired(locks.acquire([high, low, high, low], "anna", LONG_MS));
      expect(Object.keys(tokens).sort()).toEqual([low, high]);
      expect(await locks.renew([high, low, high], "anna", LONG_MS)).toBe(true);
      expect(await locks.release([high, low, high, low], "anna")).toBe(2);
    });

    test("has nothing to do for no keys", async () => {
      expect(await locks.acquire([], "anna", LONG_MS)).toEqual({ kind: "acquired", tokens: {} });
      expect(await locks.renew([], "anna", LONG_MS)).toBe(true);
      expect(await locks.release([], "anna")).toBe(0);
    });

    test("keeps keys and owners with unusual characters apart", async () => {
      const [key] = randomKeys(1);
      const odd = [`${key}:a|b`, `${key}{tag}`, `${key} 'ü'`];
      const tokens = await acquired(locks.acquire(odd, "anna|1", LONG_MS));
      expect(Object.keys(tokens).sort()).toEqual([...odd].sort());
      expect(await locks.release(odd, "anna")).toBe(0);
      expect(await locks.acquire([`${key}:a`], "ben", LONG_MS)).toMatchObject({ kind: "acquired" });
    });

    test("refuses a lease without an end", async () => {
      const keys = randomKeys(1);
      for (const ttlMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await expect(locks.acquire(keys, "anna", ttlMs)).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
        await expect(locks.renew(keys, "anna", ttlMs)).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
      }
    });

    test("lets one of many simultaneous owners take a new key", async () => {
      const keys = randomKeys(KEYS_PER_ROUND);
      const results = await Promise.all(
        numbers(WORKERS).map((worker) => locks.acquire(shuffled(keys), `worker-${worker}`, LONG_MS)),
      );
      expect(results.filter((result) => result.kind === "acquired")).toHaveLength(1);
    });

    test(`keeps ${WORKERS} workers with ${KEYS_PER_ROUND} of ${CONTENDED_KEYS} keys apart, without a deadlock`, async () => {
      const contest = new Contest(locks, randomKeys(CONTENDED_KEYS));
      await Promise.all(numbers(WORKERS).map((worker) => contest.run(`worker-${worker}`)));
      expect(contest.violations).toEqual([]);
      expect(contest.acquiredCount).toBeGreaterThan(WORKERS);
      expect(contest.busyCount, "a contest without contention proves nothing").toBeGreaterThan(0);
    });
  });
}

/** Workers that take and give back random keys, and a record of who believes to hold what. */
class Contest {
  readonly violations: string[] = [];
  acquiredCount = 0;
  busyCount = 0;
  private readonly holders = new Map<string, string>();
  private readonly lastTokens = new Map<string, number>();

  constructor(
    private readonly locks: LockManager,
    private readonly keys: readonly string[],
  ) {}

  /** A deadlock rejects, and so fails the test. */
  async run(worker: string): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const keys = shuffled(this.keys).slice(0, KEYS_PER_ROUND);
      const result = await this.locks.acquire(keys, worker, LONG_MS);
      if (result.kind === "busy") {
        this.busyCount += 1;
        continue;
      }
      this.enter(worker, keys, result.tokens);
      // Others get their turn while the keys are held.
      await setImmediate();
      if (round % 3 === 0 && !(await this.locks.renew(shuffled(keys), worker, LONG_MS)))
        this.violations.push(`${worker} lost its lease`);
      for (const key of keys) this.holders.delete(key);
      if ((await this.locks.release(shuffled(keys), worker)) !== keys.length)
        this.violations.push(`${worker} could not release its own`);
    }
  }

  private enter(worker: string, keys: readonly string[], tokens: Readonly<Record<string, number>>): void {
    this.acquiredCount += 1;
    for (const key of keys) {
      const holder = this.holders.get(key);
      if (holder !== undefined) this.violations.push(`${worker} took ${key} from ${holder}`);
      this.holders.set(key, worker);
      const token = tokenOf(tokens, key);
      const last = this.lastTokens.get(key) ?? 0;
      if (token <= last) this.violations.push(`token ${token} of ${key} after ${last}`);
      this.lastTokens.set(key, token);
    }
  }
}

async function acquired(attempt: Promise<AcquireResult>): Promise<Readonly<Record<string, number>>> {
  const result = await attempt;
  if (result.kind === "busy") throw new Error(`${result.key} is busy for ${result.remainingMs} ms more`);
  return result.tokens;
}

/**
 * Resolves when the lease of `key` has lapsed by the server's clock, without taking or prolonging it:
 * an attempt that also wants a key that is held for long takes nothing, and names the first key that is busy.
 */
async function expiry(locks: LockManager, key: string): Promise<void> {
  const guard = `${key}:guard`;
  await acquired(locks.acquire([guard], "guard", LONG_MS));
  await expect
    .poll(() => locks.acquire([key, guard], "onlooker", LONG_MS), { interval: 5, timeout: 5_000 })
    .toMatchObject({ kind: "busy", key: guard });
}

function tokenOf(tokens: Readonly<Record<string, number>>, key: string): number {
  const token = tokens[key];
  if (token === undefined) throw new Error(`no token for ${key}`);
  return token;
}

function expectGrowing(tokens: readonly number[]): void {
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
}

function randomKeys(count: 1): [string];
function randomKeys(count: 2): [string, string];
function randomKeys(count: 3): [string, string, string];
function randomKeys(count: number): string[];
function randomKeys(count: number): string[] {
  const run = randomUUID();
  return numbers(count).map((index) => `test:${run}:${index}`);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, rank: Math.random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
