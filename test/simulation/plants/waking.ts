/** Who wakes a checkout, who owns it, and what it does when it wakes. */
import { CheckoutActor } from "../../../runtime/checkout-actor.ts";
import { NodeLease } from "../../../runtime/node-lease.ts";
import { RunningSteps } from "../../../runtime/running-steps.ts";
import { StoreClock } from "../../../runtime/store-clock.ts";
import type { Clock } from "../../../steps/ports.ts";
import type { ContextRow } from "../memory-rows.ts";
import type { MemoryStore } from "../memory-store.ts";
import { changingCommits } from "./commits.ts";
import { memoryOf, patching, replacing, type PlantedBug } from "./planted-bug.ts";

const wakesFromMemory: PlantedBug = {
  name: "the wake-up time is not in the commit",
  breaks: "when a checkout has to go on is known to its node alone, and lost with it",
  plant: () =>
    changingCommits((commit) => {
      const { wakeAt: _, ...kept } = commit;
      return kept;
    }),
};

const losesItsAlarm: PlantedBug = {
  name: "a timer is lost on resume",
  breaks: "a checkout that is brought back sets no alarm for the timers that it has",
  plant: () =>
    patching(CheckoutActor.prototype, {
      resume: (resume) =>
        function (this: never, ...args: never[]) {
          const actor = this as { setAlarm?: () => void };
          actor.setAlarm = () => {};
          resume.apply(this, args);
          delete actor.setAlarm;
        },
    }),
};

const waitsForEver: PlantedBug = {
  name: "a step without a time limit",
  breaks: "a step that never answers is waited for as long as its node lives",
  plant: () =>
    patching(RunningSteps.prototype, {
      start: (start) =>
        function (this: never, ...args: never[]) {
          const steps = this as { deps: { clock: Clock } };
          const { deps } = steps;
          steps.deps = { ...deps, clock: { ...deps.clock, after: () => () => {} } };
          start.apply(this, args);
          steps.deps = deps;
        },
    }),
};

const losesItsStep: PlantedBug = {
  name: "a step is lost on resume",
  breaks: "a checkout that is brought back does not start the step that its state says is running",
  plant: () =>
    patching(CheckoutActor.prototype, {
      resume: () =>
        function (this: never, ...args: never[]) {
          const [signals] = args as unknown as [number];
          const actor = this as { setAlarm(): void; pullInbox(): Promise<number>; restIfIdle(): void };
          actor.setAlarm();
          if (signals > 0) void actor.pullInbox();
          else actor.restIfIdle();
        },
    }),
};

const believesStaleOutcomes: PlantedBug = {
  name: "a stale outcome is believed",
  breaks: "a step that was stopped still reports, and RunningSteps.take takes whatever is reported",
  plant: () =>
    patching(RunningSteps.prototype, {
      stop: () =>
        function (this: never, ...args: never[]) {
          const [stepId] = args as unknown as [string];
          (this as RunningMap).running.delete(stepId);
        },
      take: () =>
        function (this: never, ...args: never[]) {
          const [{ stepId }] = args as unknown as [{ readonly stepId: string }];
          (this as RunningMap).running.delete(stepId);
          return true;
        },
    }),
};

const looksOnce: PlantedBug = {
  name: "is anything waiting, asked beside the row",
  breaks:
    "a commit sees the events that waited when it left its node, not those on the row that it locked; nobody counts signals",
  plant: () => {
    let memory: MemoryStore | null = null;
    return {
      ports: (world) => {
        memory = memoryOf(world);
        return { ...world, store: withoutSignals(memory, world.clock) };
      },
      store: (store) =>
        replacing(store, {
          commit: async (batch) => {
            const waiting = await Promise.all(batch.map(async ({ id }) => (await memory?.unconsumed(id))?.length ?? 0));
            const results = await store.commit(batch);
            return results.map((result, index) => {
              const commit = batch[index];
              // Those of a payment requirement that it learns only now are found by the statement itself.
              if (result.kind !== "applied" || commit === undefined || commit.pcrId !== undefined) return result;
              return { ...result, signals: Math.max(0, (waiting[index] ?? 0) - (commit.consumes?.length ?? 0)) };
            });
          },
        }),
    };
  },
};

const twoOwners: PlantedBug = {
  name: "two owners",
  breaks: "a node takes up a checkout that another one owns, under that one's fence",
  plant: () => ({
    store: (store) => {
      let self = "";
      return replacing(store, {
        heartbeat: (nodeId, ttlMs, machineHashes) => {
          self = nodeId;
          return store.heartbeat(nodeId, ttlMs, machineHashes);
        },
        claim: async (id, nodeId) => {
          const fence = await store.claim(id, nodeId);
          const stored = fence === null ? await store.load(id) : null;
          return stored === null || stored.parkedReason !== null ? fence : stored.fence;
        },
        load: async (id) => {
          const stored = await store.load(id);
          return stored === null ? null : { ...stored, owner: self };
        },
      });
    },
  }),
  harmlessBecause: "the seq refuses the slower one, and both call participants under the same keys",
};

const trustsItsLease: PlantedBug = {
  name: "a lease is trusted for ever",
  breaks: "a node acts and writes on after its lease ended",
  plant: () => patching(NodeLease.prototype, { isHeld: () => () => true }),
  harmlessBecause: "its lease keeps a node from trying; what refuses its writes is the fence",
};

const ownClock: PlantedBug = {
  name: "timers by the machine's own clock",
  breaks: "entries and timers go by the clock of the machine that decides, however wrong it is",
  plant: () => patching(StoreClock.prototype, { look: () => async () => {} }),
};

const noRecovery: PlantedBug = {
  name: "nobody looks for orphans",
  breaks: "no node looks for checkouts whose node died, or whose time has come",
  plant: () => ({ ports: (world) => ({ ...world, store: replacing(world.store, { claimRunnable: async () => [] }) }) }),
};

const locksLapse: PlantedBug = {
  name: "locks are never renewed",
  breaks: "a lock of the lock service lapses while its checkout runs",
  plant: () => ({ ports: (world) => ({ ...world, locks: replacing(world.locks, { renew: async () => true }) }) }),
  harmlessBecause: "locks make conflicts cheap; rows and fences keep them right",
};

const everybodyHasTheLock: PlantedBug = {
  name: "everybody gets the lock",
  breaks: "the lock service gives one lock to two checkouts",
  plant: () => ({
    ports: (world) => ({
      ...world,
      locks: replacing(world.locks, {
        acquire: async (keys) => ({ kind: "acquired", tokens: Object.fromEntries(keys.map((key) => [key, 1])) }),
      }),
    }),
  }),
  harmlessBecause: "locks make conflicts cheap; rows and fences keep them right",
};

export const WAKING_BUGS: readonly PlantedBug[] = [
  wakesFromMemory,
  losesItsAlarm,
  losesItsStep,
  waitsForEver,
  believesStaleOutcomes,
  looksOnce,
  twoOwners,
  trustsItsLease,
  ownClock,
  noRecovery,
  locksLapse,
  everybodyHasTheLock,
];

interface RunningMap {
  readonly running: Map<string, unknown>;
}

/** The store of those who never count signals: they find orphans and timers that are due, and nothing else. */
function withoutSignals(memory: MemoryStore, clock: { readonly now: () => number }): MemoryStore {
  const isRunnable = ({ owner, finishedAt, wakeAt }: ContextRow) =>
    owner !== null || (wakeAt === null ? finishedAt === null : wakeAt <= clock.now());
  return replacing(memory, {
    owned: async (nodeId, limit) => (await memory.owned(nodeId, limit)).map(({ id }) => ({ id, signals: 0 })),
    claimRunnable: async (nodeId, limit) => {
      const wanted = new Set(memory.rows.filter(isRunnable).map(({ id }) => id));
      const claimed = await memory.claimRunnable(nodeId, limit);
      for (const id of claimed) if (!wanted.has(id)) await memory.giveUp(id, memory.row(id)?.fence ?? 0);
      return claimed.filter((id) => wanted.has(id));
    },
  });
}
