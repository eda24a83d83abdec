/** Machines that differ from a released one in one place: which checkouts they can go on with, and what is said of the others. */
import { assign } from "xstate";
import { beforeAll, describe, expect, test } from "vitest";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import { NO_RETRY, type CheckoutContext, type CheckoutOrder } from "../../machines/context.ts";
import { GOES_ON, VERSIONS, type MachineVersions, type Migration } from "../../machines/released/registry.ts";
import { checkReleased, isBlocked, type VersionReport } from "../../scripts/deploy-check/check.ts";
import type { ReleasedGraph } from "../../scripts/reachable/released-versions.ts";
import { lineOf } from "../../scripts/deploy-check/report.ts";
import { recordGraph } from "../../scripts/reachable/record.ts";
import { changedMachine, configAt } from "../support/machine-mutants.ts";
import { machineWithRenamedState, RENAMING } from "../support/renamed-state.ts";

const RELEASED = "released-hash";

let graph: ReleasedGraph;
beforeAll(() => {
  // Without retries: a third of the states, and every kind of change shows in it.
  graph = recordGraph(checkoutMachine, RELEASED, { retries: 0, hasWrongAmounts: false });
});

/** The states whose path fits, under a build with that machine. Where their edges lead is looked at in any case. */
function check(around: RegExp, machine: CheckoutMachine, others: Partial<MachineVersions> = {}): VersionReport {
  const states = graph.states.map((state) => {
    const { edges: _, ...arrival } = state;
    return around.test(state.path) ? state : arrival;
  });
  return checkReleased({ ...VERSIONS, current: { hash: "new-hash", machine }, ...others }, { ...graph, states });
}

function lines({ tally }: VersionReport): string {
  return tally.findings.map(lineOf).join("\n");
}

test("the machine that was released goes on with its own states", () => {
  const around = /STEP_|COMPLETED/;
  const report = check(around, checkoutMachine, { migrations: { [RELEASED]: GOES_ON } });
  const states = graph.states.filter(({ path, edges }) => edges !== undefined && around.test(path)).length;
  expect(states).toBeGreaterThan(0);
  expect(report.tally.counts).toEqual({ "goes on": states, migrated: 0, pinned: 0, blocking: 0 });
  expect(isBlocked([report])).toBe(false);
});

test("a version that would go on and is registered nowhere blocks: no node would claim its checkouts", () => {
  const report = check(/\.STEP_2\./, checkoutMachine);
  expect(report).toMatchObject({ isRegistered: false, tally: { counts: { blocking: 0 } } });
  expect(isBlocked([report])).toBe(true);
});

interface Change {
  readonly what: string;
  readonly machine: () => CheckoutMachine;
  /** The states that are looked at, and what is said of the first that differs. */
  readonly around: RegExp;
  readonly says: string;
  /** Null: no words of the old version say what this machine does. */
  readonly migration: Migration | null;
}

const STEP_3 = ["PROCESSING", "STEP_3", "running"];

interface StepInvoke {
  id: string;
  src: string;
  input: (args: { readonly context: CheckoutContext }) => { readonly key: string };
}

const withInvoke = (change: (invoke: StepInvoke) => Partial<StepInvoke>) => () =>
  changedMachine((root) => {
    const node = configAt(root, STEP_3);
    node.invoke = { ...node.invoke, ...change(node.invoke as unknown as StepInvoke) };
  });

/** A running step is stored under its id, and its outcome is called after it. */
const renamingInvoke: Migration = {
  state: ({ snapshot, timers }) => ({
    snapshot: replacedIn(snapshot, '"children":{"STEP_3":', '"children":{"STEP_THREE":'),
    timers,
  }),
  entry: ({ event, ...rest }) => ({
    ...rest,
    event: { ...event, type: event.type.replace(/actor\.STEP_3$/, "actor.STEP_THREE") },
  }),
};

const renumberingOrders: Migration = {
  state: ({ snapshot, timers }) => ({ snapshot: replacedIn(snapshot, '"BLR-000001"', '"BLR/000001"'), timers }),
  entry: (recorded) => ({ ...recorded, contextHash: null }),
};

function replacedIn(snapshot: unknown, from: string, to: string): unknown {
  return JSON.parse(JSON.stringify(snapshot).replaceAll(from, to)) as unknown;
}

const keepOrder = assign(({ event }) => ({
  order: { ...(event as unknown as { readonly output: CheckoutOrder }).output, orderNumber: "BLR/000001" },
  retry: NO_RETRY,
  lastError: null,
}));

const CHANGES: readonly Change[] = [
  {
    what: "a step's actor has another id",
    machine: withInvoke(() => ({ id: "STEP_THREE" })),
    around: /\.STEP_[23]\./,
    says: "PROCESSING.STEP_3.running: The stored snapshot runs [STEP_3], its state asks for [STEP_THREE].",
    migration: renamingInvoke,
  },
  {
    what: "a state has another name",
    machine: machineWithRenamedState,
    around: /\.STEP_[23]\./,
    says: "PROCESSING.STEP_2.running on xstate.done.actor.STEP_2: leads to PROCESSING.STEP_THREE.running, and led to PROCESSING.STEP_3.running",
    migration: RENAMING,
  },
  {
    what: "an action leaves something else in the context",
    machine: () => checkoutMachine.provide({ actions: { keepOrder: keepOrder as never } }),
    around: /\.STEP_[34]\./,
    says: 'PROCESSING.STEP_3.running on xstate.done.actor.STEP_3: leaves another context: order.orderNumber is "BLR/000001", and was "BLR-000001"',
    migration: renumberingOrders,
  },
  {
    what: "a guard decides otherwise",
    machine: () => checkoutMachine.provide({ guards: { paid: () => false } }),
    around: /\.STEP_8\.producing\./,
    says: "PROCESSING.STEP_8.producing.running on xstate.done.actor.STEP_8: leads to PROCESSING.STEP_8.settling.awaitingPayment, and led to PROCESSING.STEP_8.confirming.running",
    migration: null,
  },
  {
    what: "a step runs under another idempotency key",
    machine: withInvoke(({ input }) => ({ input: (args) => ({ ...input(args), key: `${input(args).key}:v2` }) })),
    around: /\.STEP_2\./,
    says: 'PROCESSING.STEP_2.running on xstate.done.actor.STEP_2: starts another step: STEP_3.input.key is "ctx_model:STEP_3:v2", and was "ctx_model:STEP_3"',
    migration: null,
  },
  {
    what: "a step is done by another actor",
    machine: withInvoke(() => ({ src: "createPaymentGroup" })),
    around: /\.STEP_3\./,
    says: "PROCESSING.STEP_3.running: STEP_3 runs createCheckoutOrder, its state asks for createPaymentGroup.",
    migration: null,
  },
];

describe.each(CHANGES)("when $what", ({ machine, around, says }) => {
  test("blocks, and names the state, the event and the first difference", () => {
    const report = check(around, machine());
    expect(isBlocked([report])).toBe(true);
    expect(lines(report)).toContain(says);
  });

  test("goes on under the old machine, while that is pinned", () => {
    const report = check(around, machine(), { pinned: { [RELEASED]: checkoutMachine } });
    expect(report.tally.counts).toMatchObject({ migrated: 0, blocking: 0 });
    expect(report.tally.counts.pinned).toBeGreaterThan(0);
  });
});

const MIGRATED = CHANGES.flatMap(({ migration, ...change }) => (migration === null ? [] : [{ ...change, migration }]));

test.each(MIGRATED)("when $what, goes on once it is migrated, and needs no pinned machine then", (change) => {
  const { machine, around, migration } = change;
  const report = check(around, machine(), { migrations: { [RELEASED]: migration } });
  expect(lines(report)).toBe("");
  expect(report.tally.counts).toMatchObject({ pinned: 0, blocking: 0 });
  expect(report.tally.counts.migrated).toBeGreaterThan(0);
  const both = check(around, machine(), { migrations: { [RELEASED]: migration }, pinned: { [RELEASED]: checkoutMachine } });
  expect(both.tally.counts).toEqual(report.tally.counts);
});

describe("a way that leads nowhere is no way", () => {
  test("a migration that changes the states and not the entries still blocks", () => {
    const report = check(/\.STEP_2\./, machineWithRenamedState(), {
      migrations: { [RELEASED]: { ...GOES_ON, state: RENAMING.state } },
    });
    expect(lines(report)).toContain(
      "after its migration: leads to PROCESSING.STEP_THREE.running, and led to PROCESSING.STEP_3.running",
    );
  });

  test("a migration that leaves contexts as they were can't hide behind its null", () => {
    const machine = checkoutMachine.provide({ actions: { keepOrder: keepOrder as never } });
    const migrations = { [RELEASED]: { ...renumberingOrders, state: GOES_ON.state } };
    expect(lines(check(/\.STEP_3\./, machine, { migrations }))).toContain(
      "after its migration: leaves another context: order.orderNumber",
    );
  });

  test("a migration that throws blocks, with its message", () => {
    const broken = {
      ...GOES_ON,
      state: () => {
        throw new Error("It knows no such state.");
      },
    };
    const report = check(/\.STEP_3\./, machineWithRenamedState(), { migrations: { [RELEASED]: broken } });
    expect(lines(report)).toContain("PROCESSING.STEP_3.running: after its migration: It knows no such state.");
  });

  test("a pinned machine that is not that version's blocks, and so does one of another version", () => {
    const wrong = checkoutMachine.provide({ guards: { paid: () => false } });
    const current = machineWithRenamedState();
    const producing = /\.STEP_8\.producing\./;
    const report = check(producing, wrong, { pinned: { [RELEASED]: wrong } });
    expect(lines(report)).toContain("under its pinned machine: leads to PROCESSING.STEP_8.settling");
    expect(isBlocked([check(/\.STEP_3\./, current, { pinned: { another: checkoutMachine } })])).toBe(true);
  });
});

test("what is alike stands on one line, with the number of its states", () => {
  const machine = checkoutMachine.provide({ guards: { allUndone: () => false } });
  const { tally } = check(/\.undoing\.paymentGroups\./, machine);
  expect(tally.findings.length).toBeLessThan(tally.counts.blocking);
  expect(lines({ machineVersion: "1", hash: RELEASED, isRegistered: true, tally })).toMatch(/ \(\d+ states\)$/m);
});
