/** When a failed step is tried again. Pure: time and jitter come in with the failure's event. */
import type { Retry } from "./context.ts";
import type { StepFailure } from "./errors.ts";
import type { Stamp } from "./events.ts";

export interface RetryLimits {
  /** Further tries after the first. */
  readonly retryMax: number;
  /** Time since the first failure within which a try may begin. */
  readonly budgetMs: number;
}

const FIRST_DELAY_MS = 200;
const DELAY_MAX_MS = 30_000;
/** A callee that asks for more is asked again after this all the same. */
const RETRY_AFTER_MAX_MS = 15 * 60_000;
/** One second, half a minute, a quarter of an hour, then hours: a closed account stays closed. */
const FIRST_BOUNCE_DELAY_MS = 1_000;
const BOUNCE_DELAY_FACTOR = 30;
const BOUNCE_DELAY_MAX_MS = 24 * 3_600_000;

/** Whether this failure leads to another try: it may work later, and neither tries nor time are used up. */
export function mayRetry(retry: Retry, failure: StepFailure, stamp: Stamp, limits: RetryLimits): boolean {
  if (failure.class !== "TRANSIENT" || retry.failures >= limits.retryMax) return false;
  const now = stamp.at ?? 0;
  return now + delayAfter(retry, failure, stamp) - (retry.firstFailedAt ?? now) <= limits.budgetMs;
}

/** The retry state after one more failure; `failures` stops at `failuresMax`. */
export function afterFailure(retry: Retry, failure: StepFailure, stamp: Stamp, failuresMax: number): Retry {
  return {
    failures: Math.min(retry.failures + 1, failuresMax),
    firstFailedAt: retry.firstFailedAt ?? stamp.at ?? 0,
    delayMs: delayAfter(retry, failure, stamp),
  };
}

/** The retry state after the bank sent an accepted refund back: an operator is asked, and each round waits longer. */
export function afterBounce(round: number, stamp: Stamp, failures: number): Retry {
  const delayMs = Math.min(BOUNCE_DELAY_MAX_MS, FIRST_BOUNCE_DELAY_MS * BOUNCE_DELAY_FACTOR ** (round - 2));
  return { failures, firstFailedAt: stamp.at ?? 0, delayMs };
}

/** Doubles from 200 ms to 30 s, half of it jitter; a callee's Retry-After is a floor, within reason. */
function delayAfter(retry: Retry, failure: StepFailure, stamp: Stamp): number {
  const full = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** retry.failures);
  const jittered = Math.round(full / 2 + (full / 2) * (stamp.jitter ?? 0));
  const asked = failure.retryAfterMs ?? 0;
  return Math.max(jittered, Number.isFinite(asked) ? Math.min(asked, RETRY_AFTER_MAX_MS) : 0);
}
