import { expect, it } from "vitest";
import { NO_RETRY, type Retry } from "../../machines/context.ts";
import type { StepFailure } from "../../machines/errors.ts";
import { afterBounce, afterFailure, mayRetry } from "../../machines/retry.ts";

const transient: StepFailure = { class: "TRANSIENT", code: "TIMEOUT", message: "slow" };
const terminal: StepFailure = { class: "TERMINAL", code: "BUSINESS_RULE", message: "sold out" };
const limits = { retryMax: 5, budgetMs: 60_000 };
const UNCOUNTED = Number.MAX_SAFE_INTEGER;

function failedTimes(failures: number, firstFailedAt = 1_000): Retry {
  return { failures, firstFailedAt, delayMs: 0 };
}

it("a terminal failure is never tried again", () => {
  expect(mayRetry(NO_RETRY, terminal, { at: 1_000 }, limits)).toBe(false);
});

it("the budget counts tries: five more after the first, no sixth", () => {
  const allowed = [0, 1, 2, 3, 4, 5, 6].map((failures) => mayRetry(failedTimes(failures), transient, { at: 1_000 }, limits));
  expect(allowed).toEqual([true, true, true, true, true, false, false]);
});

it("no tries allowed means none", () => {
  expect(mayRetry(NO_RETRY, transient, { at: 1_000 }, { ...limits, retryMax: 0 })).toBe(false);
});

it("the budget counts time since the first failure, the wait before the next try included", () => {
  // The second failure waits 200 ms at least (400 ms, half of it jitter).
  const after = (elapsedMs: number) => mayRetry(failedTimes(1), transient, { at: 1_000 + elapsedMs, jitter: 0 }, limits);
  expect(after(59_800)).toBe(true);
  expect(after(59_801)).toBe(false);
});

it("a Retry-After within the budget is a floor under the delay, one beyond it ends the tries", () => {
  const busy = (retryAfterMs: number): StepFailure => ({ ...transient, retryAfterMs });
  expect(afterFailure(NO_RETRY, busy(7_000), { at: 1_000, jitter: 0.5 }, UNCOUNTED).delayMs).toBe(7_000);
  expect(mayRetry(NO_RETRY, busy(60_000), { at: 1_000 }, limits)).toBe(true);
  expect(mayRetry(NO_RETRY, busy(60_001), { at: 1_000 }, limits)).toBe(false);
});

it("a Retry-After shorter than our own delay doesn't shorten it", () => {
  const failure: StepFailure = { ...transient, retryAfterMs: 1 };
  expect(afterFailure(NO_RETRY, failure, { at: 1_000, jitter: 0 }, UNCOUNTED).delayMs).toBe(100);
});

it("the delay doubles from 200 ms to 30 s, half of it jitter", () => {
  const delays = (jitter: number) =>
    [0, 1, 2, 7, 8, 40].map(
      (failures) => afterFailure(failedTimes(failures), transient, { at: 1_000, jitter }, UNCOUNTED).delayMs,
    );
  expect(delays(0)).toEqual([100, 200, 400, 12_800, 15_000, 15_000]);
  expect(delays(1)).toEqual([200, 400, 800, 25_600, 30_000, 30_000]);
});

it("a failure is counted, up to the cap, and the time of the first one stays", () => {
  const first = afterFailure(NO_RETRY, transient, { at: 1_000 }, 2);
  const second = afterFailure(first, transient, { at: 5_000 }, 2);
  const third = afterFailure(second, transient, { at: 9_000 }, 2);
  expect([first, second, third].map(({ failures }) => failures)).toEqual([1, 2, 2]);
  expect([first, second, third].map(({ firstFailedAt }) => firstFailedAt)).toEqual([1_000, 1_000, 1_000]);
});

it("the same failure at the same moment with the same chance decides the same", () => {
  const stamp = { at: 3_000, jitter: 0.25 };
  expect(afterFailure(failedTimes(2), transient, stamp, UNCOUNTED)).toEqual(
    afterFailure(failedTimes(2), transient, stamp, UNCOUNTED),
  );
});

it("a refund that bounced waits a second, then half a minute, then long, and a day at the most", () => {
  const delays = [2, 3, 4, 9].map((round) => afterBounce(round, { at: 5 }, 9).delayMs);
  expect(delays).toEqual([1_000, 30_000, 900_000, 86_400_000]);
  expect(afterBounce(2, { at: 5 }, 9)).toMatchObject({ failures: 9, firstFailedAt: 5 });
});
