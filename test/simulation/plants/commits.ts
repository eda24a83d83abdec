/** What is written, when, and what its writer believes of it. */
import { assign } from "xstate";
import { checkoutMachine } from "../../../machines/checkout.ts";
import { paymentAfter } from "../../../machines/payment.ts";
import type { Checkpoint, Commit, CommitResult, Store } from "../../../persistence/store.ts";
import { CheckoutActor } from "../../../runtime/checkout-actor.ts";
import type { MemoryStore } from "../memory-store.ts";
import { machinePlant, memoryOf, patching, replacing, type PlantedBug } from "./planted-bug.ts";

const noFence: PlantedBug = {
  name: "no fence",
  breaks: "a commit is applied under whatever fence the row has; only the seq that it was decided at is checked",
  plant: () => rewritingCommits((commit, { fence }) => ({ ...commit, fence })),
  harmlessBecause: "the seq that each commit names refuses the slower of two writers too; without either, the last writer wins",
};

const lastWriterWins: PlantedBug = {
  name: "the last writer wins",
  breaks: "a commit is applied at whatever seq and fence the row has",
  plant: () =>
    rewritingCommits((commit, { seq, fence }) => ({
      ...commit,
      fence,
      expectedSeq: seq,
      entry: { ...commit.entry, seq: seq + 1 },
    })),
};

const unknownIsSuccess: PlantedBug = {
  name: "an unknown commit is a success",
  breaks: "a commit whose request or reply was lost counts as applied",
  plant: () => onUnknownCommit(async (_, batch) => batch.map(() => ({ kind: "applied", signals: 0 }))),
};

const unknownIsWrittenAgain: PlantedBug = {
  name: "an unknown commit is written again",
  breaks: "a commit whose request or reply was lost counts as failed, and is written once more after whatever is there",
  plant: () =>
    onUnknownCommit(async (store, batch) => {
      const again = batch.map(async (commit) => {
        const seq = (await store.load(commit.id))?.seq ?? commit.expectedSeq;
        return { ...commit, expectedSeq: seq, entry: { ...commit.entry, seq: seq + 1 } };
      });
      return store.commit(await Promise.all(again));
    }),
};

const unknownIsRefused: PlantedBug = {
  name: "an unknown commit is a refusal",
  breaks: "a commit whose request or reply was lost counts as refused",
  plant: () => onUnknownCommit(async (_, batch) => batch.map(() => ({ kind: "refused", seq: 0, fence: 0, owner: null }))),
  harmlessBecause: "who is refused forgets everything and reads the journal again, which says what was applied",
};

const actsFirst: PlantedBug = {
  name: "acts before it commits",
  breaks: "a step starts when its transition is decided, before that is durable",
  plant: () => {
    const begun = new WeakSet<object>();
    return patching(CheckoutActor.prototype, {
      apply: (apply) =>
        function (this: never, ...args: never[]) {
          const [decision] = args as unknown as [object];
          (this as { act(decision: object): void }).act(decision);
          begun.add(decision);
          return apply.apply(this, args);
        },
      act: (act) =>
        function (this: never, ...args: never[]) {
          if (!begun.has(args[0] as unknown as object)) return act.apply(this, args);
          return (this as { setAlarm(): void }).setAlarm();
        },
    });
  },
};

const checkpointIsBelieved: PlantedBug = {
  name: "no fold after the checkpoint",
  breaks: "a checkout comes back as its newest checkpoint says; what the journal has since is not looked at",
  plant: () => ({
    store: (store) =>
      replacing(store, {
        load: async (id) => {
          const stored = await store.load(id);
          return stored === null ? null : { ...stored, entries: stored.entries.slice(0, 1) };
        },
      }),
  }),
};

const checkpointWithoutTimers: PlantedBug = {
  name: "a checkpoint without its timers",
  breaks: "what a checkout waits for is not in its newest checkpoint",
  plant: () =>
    changingCommits(({ checkpoint, ...commit }) => {
      return checkpoint === undefined ? commit : { ...commit, checkpoint: { ...checkpoint, timers: {} } };
    }),
};

const checkpointIsLate: PlantedBug = {
  name: "a checkpoint of the state before",
  breaks: "a checkpoint in the middle of a journal says what stood before its entry",
  plant: () => {
    const seen = new Map<string, Checkpoint>();
    return changingCommits(({ checkpoint, ...commit }) => {
      if (checkpoint === undefined) return commit;
      const before = seen.get(commit.id) ?? checkpoint;
      seen.set(commit.id, checkpoint);
      return { ...commit, checkpoint: commit.passivate === true ? checkpoint : before };
    });
  },
};

const changedInPlace: PlantedBug = {
  name: "changes the state in place",
  breaks: "recordPaymentNews writes into the payment of the state before, which the commit then compares with itself",
  plant: machinePlant(() =>
    checkoutMachine.provide({
      actions: {
        recordPaymentNews: assign(({ context, event }) => ({
          payment: Object.assign(context.payment, paymentAfter(context, event)),
        })),
      },
    }),
  ),
};

const keepsItsCart: PlantedBug = {
  name: "the cart is never released",
  breaks: "a checkout that ended keeps its cart and its payment groups",
  plant: () =>
    changingCommits((commit) => {
      const { release: _, ...kept } = commit;
      return kept;
    }),
};

const releasesEarly: PlantedBug = {
  name: "the cart is released too early",
  breaks: "a checkout that waits for its payment gives its cart back",
  plant: () =>
    changingCommits((commit) => {
      return commit.passivate === true && commit.finished !== true ? { release: { completed: false }, ...commit } : commit;
    }),
};

export const COMMIT_BUGS: readonly PlantedBug[] = [
  noFence,
  lastWriterWins,
  unknownIsSuccess,
  unknownIsWrittenAgain,
  unknownIsRefused,
  actsFirst,
  checkpointIsBelieved,
  checkpointWithoutTimers,
  checkpointIsLate,
  changedInPlace,
  keepsItsCart,
  releasesEarly,
];

type Row = NonNullable<ReturnType<MemoryStore["row"]>>;

/** As the row is when they arrive. */
function rewritingCommits(rewrite: (commit: Commit, row: Row) => Commit): ReturnType<PlantedBug["plant"]> {
  return {
    ports: (world) => ({
      ...world,
      store: replacing(world.store, {
        commit: (batch) => {
          const rewritten = batch.map((commit) => {
            const row = memoryOf(world).row(commit.id);
            return row === null ? commit : rewrite(commit, row);
          });
          return world.store.commit(rewritten);
        },
      }),
    }),
  };
}

export function changingCommits(change: (commit: Commit) => Commit): ReturnType<PlantedBug["plant"]> {
  return { store: (store) => replacing(store, { commit: (batch) => store.commit(batch.map(change)) }) };
}

function onUnknownCommit(
  answer: (store: Store, batch: readonly Commit[]) => Promise<readonly CommitResult[]>,
): ReturnType<PlantedBug["plant"]> {
  return {
    store: (store) => replacing(store, { commit: (batch) => store.commit(batch).catch(() => answer(store, batch)) }),
  };
}
