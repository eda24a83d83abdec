/**
 * The real machine contracts to the documented states and edges, written down here; test/machines/diagram.test.ts compares
 * them with the specification's page. What contracting does is shown with a small machine.
 */
import { createMachine, type AnyStateMachine } from "xstate";
import { describe, expect, it, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { arrowsFrom, contract, descendants, initialTargets } from "../../machines/contraction.ts";

function drawn(machine: AnyStateMachine): readonly string[] {
  return contract(machine).edges.map(({ from, to, label }) => `${from} --> ${to}: ${label}`);
}

test("the machine's documented states and edges are these", () => {
  expect(drawn(checkoutMachine)).toEqual([
    "[*] --> INITIALIZED: null",
    "INITIALIZED --> PROCESSING: Start orchestration",
    "PROCESSING --> STEP_1: Create preferences",
    "STEP_1 --> STEP_2: Get invoice",
    "STEP_2 --> STEP_3: Create checkout order",
    "STEP_3 --> STEP_4: Handle opt-in",
    "STEP_4 --> STEP_5: Upsert line items",
    "STEP_5 --> STEP_6: Hydrate payments",
    "STEP_6 --> STEP_7: Create mapping",
    "STEP_7 --> STEP_8: Produce event",
    "STEP_8 --> COMPLETED: Success",
    "PROCESSING --> ROLLEDBACK: Terminal error",
    "COMPLETED --> [*]: null",
    "ROLLEDBACK --> [*]: null",
  ]);
  expect(checkoutMachine.id).toBe("checkout");
  expect(checkoutMachine.version).toBe("1.0.0");
});

function marked(refines: string, config: object = {}): object {
  return { meta: { refines }, ...config };
}

function small(change: object = {}, ofStep: object = {}): AnyStateMachine {
  return createMachine({
    id: "small",
    initial: "INITIALIZED",
    states: {
      INITIALIZED: marked("INITIALIZED", { on: { START: { target: "PROCESSING", description: "Go" } } }),
      PROCESSING: marked("PROCESSING", {
        initial: "opening",
        states: {
          opening: marked("PROCESSING", { on: { DONE: "STEP_1" } }),
          STEP_1: marked("STEP_1", {
            initial: "running",
            on: { UNDO: "undoing", HEARD: {} },
            states: {
              running: marked("STEP_1", { on: { FAIL: "backingOff" }, always: "#small.PROCESSING.STEP_2" }),
              backingOff: marked("STEP_1", { after: { 5: "running" } }),
            },
            ...ofStep,
          }),
          STEP_2: marked("STEP_2", {
            on: { AGAIN: "#small.PROCESSING", DONE: { target: "#small.COMPLETED", description: "End" } },
          }),
          undoing: marked("PROCESSING", { on: { DONE: "#small.ROLLEDBACK" } }),
        },
      }),
      COMPLETED: marked("COMPLETED", { tags: ["finished"] }),
      ROLLEDBACK: marked("ROLLEDBACK", { type: "final" }),
      ...change,
    },
  });
}

describe("contracted", () => {
  it("a machine has its documented states in their order, and one edge between two of them", () => {
    const { states } = contract(small());
    expect(states).toEqual(["INITIALIZED", "PROCESSING", "STEP_1", "STEP_2", "COMPLETED", "ROLLEDBACK"]);
    expect(drawn(small())).toEqual([
      "[*] --> INITIALIZED: null",
      "INITIALIZED --> PROCESSING: Go",
      // Beginning it again is an edge; going into its undoing is none.
      "STEP_2 --> PROCESSING: null",
      "PROCESSING --> STEP_1: null",
      "STEP_1 --> STEP_2: null",
      "STEP_2 --> COMPLETED: End",
      "PROCESSING --> ROLLEDBACK: null",
      "COMPLETED --> [*]: null",
      "ROLLEDBACK --> [*]: null",
    ]);
  });

  it("the transitions of an edge share the one label that they have", () => {
    const twice = { on: { START: { target: "PROCESSING", description: "Go" }, GO: "PROCESSING" } };
    expect(drawn(small({ INITIALIZED: marked("INITIALIZED", twice) }))).toContain("INITIALIZED --> PROCESSING: Go");
    const turned = { on: { GO: "PROCESSING", START: { target: "PROCESSING", description: "Go" } } };
    expect(drawn(small({ INITIALIZED: marked("INITIALIZED", turned) }))).toContain("INITIALIZED --> PROCESSING: Go");
    const other = {
      on: { START: { target: "PROCESSING", description: "Go" }, GO: { target: "PROCESSING", description: "Run" } },
    };
    expect(() => contract(small({ INITIALIZED: marked("INITIALIZED", other) }))).toThrow(
      'The transitions of INITIALIZED --> PROCESSING are described differently: "Go" and "Run".',
    );
  });

  it("a state without a mark, or with one that names no documented state, is refused by its name", () => {
    expect(() => contract(small({ COMPLETED: {} }))).toThrow('State node "small.COMPLETED" says nothing where it must name');
    expect(() => contract(small({ COMPLETED: { meta: {} } }))).toThrow('"small.COMPLETED" says nothing');
    expect(() => contract(small({ COMPLETED: marked("SHIPPED") }))).toThrow('"small.COMPLETED" says "SHIPPED"');
  });

  it("a state that claims another documented state than the one it stands in is refused", () => {
    expect(() => contract(small({ COMPLETED: marked("ROLLEDBACK") }))).toThrow("refines ROLLEDBACK, but it belongs to COMPLETED");
    const strange = { states: { running: marked("STEP_2"), backingOff: marked("STEP_1") }, initial: "running" };
    expect(() => contract(small({}, strange))).toThrow('"small.PROCESSING.STEP_1.running" says that it refines STEP_2');
  });

  it("what the whole chart hears leads there from outside, as its beginning does", () => {
    const hearing = createMachine({ ...small().config, on: { END: ".ROLLEDBACK" } });
    expect(drawn(hearing)).toContain("[*] --> ROLLEDBACK: null");
  });

  it("a state at the top that is no documented one itself refines what it says", () => {
    expect(contract(small({ shipping: marked("COMPLETED") })).states).toContain("COMPLETED");
  });
});

describe("the parts of a chart", () => {
  it("are listed from the outside in, in the order of the chart", () => {
    expect(descendants(small().root).map(({ key }) => key)).toEqual([
      "INITIALIZED",
      "PROCESSING",
      "opening",
      "STEP_1",
      "running",
      "backingOff",
      "STEP_2",
      "undoing",
      "COMPLETED",
      "ROLLEDBACK",
    ]);
  });

  it("begin where they say, a parallel one in all its regions, an atomic one nowhere", () => {
    const regions = createMachine({ type: "parallel", states: { left: {}, right: {} } });
    expect(initialTargets(regions.root).map(({ key }) => key)).toEqual(["left", "right"]);
    expect(initialTargets(small().root).map(({ key }) => key)).toEqual(["INITIALIZED"]);
    expect(initialTargets(small().getStateNodeById("small.COMPLETED"))).toEqual([]);
  });

  it("are left by what has a target; the guard and the description go with it", () => {
    const node = small().getStateNodeById("small.PROCESSING.STEP_1");
    expect(arrowsFrom(node).map(({ source, target, eventType }) => [source.key, target.key, eventType])).toEqual([
      ["STEP_1", "undoing", "UNDO"],
    ]);
    const running = small().getStateNodeById("small.PROCESSING.STEP_1.running");
    expect(arrowsFrom(running).map(({ target, eventType }) => [target.key, eventType])).toEqual([
      ["backingOff", "FAIL"],
      ["STEP_2", ""],
    ]);
    const guarded = createMachine({ initial: "a", states: { a: { on: { GO: { target: "b", guard: "may" } } }, b: {} } });
    const [arrow] = arrowsFrom(guarded.root.states["a"] ?? guarded.root);
    expect(arrow).toMatchObject({ guard: "may", description: undefined });
  });
});
