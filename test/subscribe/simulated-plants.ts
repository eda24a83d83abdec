/** Bugs that a subscriber could have, each as a wrapper of one part: the simulation has to find every one. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Bucket } from "../../subscribe/bucket.ts";
import { DeadLetters } from "../../subscribe/dead-letters.ts";
import { eventIn } from "../../subscribe/envelope.ts";
import { GapWatch } from "../../subscribe/gaps.ts";
import type { Held, Lane } from "../../subscribe/lane.ts";
import { Lease } from "../../subscribe/lease.ts";
import type { Progress } from "../../subscribe/progress.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import type { Plant } from "./simulated-process.ts";

export interface PlantedBug {
  readonly name: string;
  /** Anew for each process. */
  readonly plant: () => Plant;
}

class LeaseIgnored extends Lease {
  readonly #forever = new AbortController().signal;
  override get isTrusted() {
    return true;
  }
  override get term() {
    return this.#forever;
  }
  override async acquire() {}
  override async release() {}
}

class LeaseByTimer extends Lease {
  override get isTrusted() {
    return !this.term.aborted;
  }
}

class GapsIgnored extends GapWatch {
  override async look(_: Lane, next: Held) {
    return next.position - 1;
  }
}

class FailuresPassed extends GapWatch {
  override async look(lane: Lane, next: Held) {
    return lane.failed === null ? super.look(lane, next) : next.position - 1;
  }
}

class SkippedTooFar extends GapWatch {
  override async look(lane: Lane, next: Held) {
    return (await super.look(lane, next)) === null ? null : next.position - 1;
  }
}

class LettersLost extends DeadLetters {
  override async keep(message: JsMsg, reason: unknown) {
    return super.keep(message, reason).catch(() => message.subject);
  }
}

/** Has what it was given acknowledged when progress is about to be written. */
function acknowledgedFirst(): Plant {
  const taken: JsMsg[] = [];
  const message = (given: JsMsg) => {
    taken.push(given);
    return given;
  };
  const progress = (inner: Progress): Progress => ({
    last: (checkout) => inner.last(checkout),
    advance: (checkout, from, to) => {
      for (const given of taken) {
        const event = eventIn(given);
        if (event?.subject === checkout && Math.max(event.seq, event.typeseq) <= to) given.ack();
      }
      return inner.advance(checkout, from, to);
    },
  });
  return { message, progress };
}

function acknowledgedAtOnce(given: JsMsg): JsMsg {
  given.ack();
  return given;
}

function putBlindly(bucket: Bucket): Bucket {
  return {
    get: (key) => bucket.get(key),
    put: async (key, value, revision) => {
      const isProgress = key.startsWith("progress.");
      return bucket.put(key, value, isProgress ? ((await bucket.get(key))?.revision ?? 0) : revision);
    },
  };
}

/** Commits from wherever the database stands. */
function transactionBlind(database: SimulatedDatabase): Pick<SimulatedDatabase, "by" | "commit"> {
  return {
    by: (way) => database.by(way),
    commit: (checkout, _, to, effect) => database.commit(checkout, database.at(checkout), to, effect),
  };
}

function positionsRemembered(inner: Progress): Progress {
  const known = new Map<string, number>();
  return {
    last: async (checkout) => {
      const last = known.get(checkout) ?? (await inner.last(checkout));
      known.set(checkout, last);
      return last;
    },
    advance: async (checkout, from, to) => {
      const stands = await inner.advance(checkout, from, to);
      known.set(checkout, stands);
      return stands;
    },
  };
}

function withProgress(change: (inner: Progress) => Partial<Progress>): () => Plant {
  return () => ({
    progress: (inner) => ({
      last: (checkout) => inner.last(checkout),
      advance: (checkout, from, to) => inner.advance(checkout, from, to),
      ...change(inner),
    }),
  });
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  { name: "acknowledges before it records", plant: acknowledgedFirst },
  { name: "acknowledges what it is given", plant: () => ({ message: acknowledgedAtOnce }) },
  { name: "records without comparing", plant: () => ({ bucket: putBlindly }) },
  { name: "commits without comparing", plant: () => ({ database: transactionBlind }) },
  { name: "ignores the lease", plant: () => ({ lease: LeaseIgnored }) },
  { name: "trusts its lease by a timer, not by the clock", plant: () => ({ lease: LeaseByTimer }) },
  { name: "takes over without a look at progress", plant: withProgress(() => ({ last: async () => 0 })) },
  { name: "takes a lost answer for a record", plant: withProgress(recordedAnyway) },
  { name: "keeps to the progress that it read, past a rejection", plant: () => ({ progress: positionsRemembered }) },
  { name: "skips a gap silently", plant: () => ({ gaps: GapsIgnored }) },
  { name: "skips more than was missing", plant: () => ({ gaps: SkippedTooFar }) },
  { name: "handles the next event while one is tried again", plant: () => ({ gaps: FailuresPassed }) },
  { name: "gives an event up that could not be put aside", plant: () => ({ deadLetters: LettersLost }) },
];

function recordedAnyway(inner: Progress): Partial<Progress> {
  return { advance: (checkout, from, to) => inner.advance(checkout, from, to).catch(() => to) };
}
