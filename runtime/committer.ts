/**
 * Group commit. What arrives while a batch is in flight is the next batch, so there is no artificial
 * delay, and many checkouts share one statement and one fsync. One entry per checkout per batch, because
 * each checkout has at most one commit in flight.
 */
import { InvariantError, isUnstorable, LeaseLostError } from "../machines/errors.ts";
import type { Commit, CommitResult, Store } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { Counters, Log } from "./telemetry.ts";

const BATCH_MAX = 100;
const RETRY_DELAY_MS = 200;

export interface CommitterDeps {
  readonly store: Pick<Store, "commit" | "isLastCommit">;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  readonly counters: Pick<Counters, "add">;
  /** While this node may write at all. */
  readonly mayWrite: () => boolean;
}

interface Waiting {
  readonly commit: Commit;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

export class Committer {
  private queue: Waiting[] = [];
  private isFlushing = false;

  constructor(private readonly deps: CommitterDeps) {}

  /**
   * Resolves when it is known whether the commit was applied: a lost answer is resolved by asking again.
   * LeaseLostError when this node may no longer write; InvariantError when this very commit can't be stored.
   */
  commit(commit: Commit): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.queue.push({ commit, resolve, reject });
      if (!this.isFlushing) void this.flush();
    });
  }

  private async flush(): Promise<void> {
    this.isFlushing = true;
    try {
      while (this.queue.length > 0) await this.write(this.queue.splice(0, BATCH_MAX));
    } finally {
      this.isFlushing = false;
    }
  }

  private async write(batch: readonly Waiting[], wasTried = false): Promise<void> {
    for (let isRepeat = wasTried; ; isRepeat = true) {
      if (!this.deps.mayWrite()) return rejectAll(batch, leaseLost());
      try {
        const results = await this.deps.store.commit(batch.map((waiting) => waiting.commit));
        await Promise.all(batch.map((waiting, index) => this.answer(waiting, results[index], isRepeat)));
        return;
      } catch (error) {
        if (isUnstorable(error)) return this.bisect(batch, error, isRepeat);
        this.deps.log.warn(
          { err: error, commits: batch.length },
          "A commit failed; it is repeated while this node holds its lease",
        );
        // Perhaps applied, when the connection was lost. Seq makes repeating it safe, and our lease bounds it.
        await this.pause();
      }
    }
  }

  private async answer({ commit, resolve, reject }: Waiting, result: CommitResult | undefined, isRepeat: boolean): Promise<void> {
    const known = result ?? { kind: "unknown_checkout" };
    const tell = (outcome: CommitResult): void => {
      // Here, not by its actor: of a node that wakes late the actors are gone before the answer is read.
      if (outcome.kind !== "applied") this.deps.counters.add("commits_refused");
      resolve(outcome);
    };
    if (!isRepeat) return tell(known);
    await this.recognise(commit, known).then(tell, reject);
  }

  /** A repeated commit is refused by its own first try: then it was applied. Asked until the store says so. */
  private async recognise(commit: Commit, result: CommitResult): Promise<CommitResult> {
    if (result.kind !== "refused") return result;
    while (this.deps.mayWrite()) {
      try {
        if (!(await this.deps.store.isLastCommit(commit.id, commit.commitId))) return result;
        this.deps.counters.add("commits_recognised");
        // How many signals wait is not known: one more look at the inbox costs little.
        return { kind: "applied", signals: 1 };
      } catch (error) {
        if (isUnstorable(error)) throw error;
        await this.pause();
      }
    }
    throw leaseLost();
  }

  private pause(): Promise<void> {
    return new Promise((resume) => this.deps.clock.after(RETRY_DELAY_MS, resume));
  }

  /** One poisoned payload fails the whole statement: halve until only the culprit is refused. */
  private async bisect(batch: readonly Waiting[], cause: unknown, isRepeat: boolean): Promise<void> {
    const [only] = batch;
    if (only !== undefined && batch.length === 1) {
      return only.reject(new InvariantError(`The transition of ${only.commit.id} can't be stored.`, { cause }));
    }
    const middle = Math.ceil(batch.length / 2);
    await this.write(batch.slice(0, middle), isRepeat);
    await this.write(batch.slice(middle), isRepeat);
  }
}

function leaseLost(): LeaseLostError {
  return new LeaseLostError("This node lost its lease. Another node goes on.");
}

function rejectAll(batch: readonly Waiting[], error: unknown): void {
  for (const waiting of batch) waiting.reject(error);
}
