/** Real time and real chance. Everything else gets them handed in. */
import { uuidv7obj } from "uuidv7";
import type { Clock, Ids } from "../steps/ports.ts";

/** Node's timers take at most this; a longer wait is looked at again. */
const TIMER_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
};

export const systemIds: Ids = {
  next: (prefix) => `${prefix}_${uuidv7obj().toHex()}`,
  random: () => Math.random(),
};
