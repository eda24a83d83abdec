/** A small machine as Mermaid draws it; the pages that are made so are compared in diagram.test.ts. */
import { createMachine } from "xstate";
import { expect, test } from "vitest";
import { contractedDiagram, refinedDiagram } from "../../machines/diagram.ts";

function marked(refines: string, config: object = {}): object {
  return { meta: { refines }, ...config };
}

const UNDOING = "#small.PROCESSING.undoing";

const machine = createMachine({
  id: "small",
  initial: "INITIALIZED",
  states: {
    INITIALIZED: marked("INITIALIZED", { on: { START: { target: "PROCESSING", description: "Go" } } }),
    PROCESSING: marked("PROCESSING", {
      initial: "STEP_1",
      on: { RESTART: ".undoing" },
      states: {
        STEP_1: marked("STEP_1", {
          initial: "running",
          states: {
            running: marked("STEP_1", {
              invoke: {
                id: "step",
                src: "step",
                onDone: "#small.PROCESSING.STEP_2.waiting",
                onError: [
                  { guard: "mayRetry", target: "backingOff" },
                  { guard: { type: "isLast" }, target: UNDOING },
                ],
              },
              on: { payment_collection_requirement_failed: "backingOff" },
            }),
            backingOff: marked("STEP_1", { after: { backoff: "running" }, on: { CANCEL: UNDOING, STOP: UNDOING } }),
          },
        }),
        STEP_2: marked("STEP_2", {
          initial: "opening",
          states: {
            opening: marked("STEP_2"),
            waiting: marked("STEP_2", {
              on: { AGAIN: { target: "#small.PROCESSING.STEP_2", reenter: true }, DONE: "#small.COMPLETED" },
            }),
          },
        }),
        undoing: marked("PROCESSING", { on: { DONE: "#small.ROLLEDBACK", ALL: "#small.PROCESSING" } }),
      },
    }),
    COMPLETED: marked("COMPLETED", { tags: ["finished"] }),
    ROLLEDBACK: marked("ROLLEDBACK", { tags: ["finished"] }),
  },
});

test("refined, every state stands in its own, and each pair of neighbours has one line that says all that leads there", () => {
  expect(refinedDiagram(machine)).toBe(`stateDiagram-v2
    [*] --> INITIALIZED
    state "INITIALIZED" as INITIALIZED
    state "PROCESSING" as PROCESSING {
        [*] --> STEP_1
        state "STEP_1" as STEP_1 {
            direction LR
            [*] --> STEP_1_running
            state "running" as STEP_1_running
            state "backingOff" as STEP_1_backingOff
            STEP_1_running --> STEP_1_backingOff: PCR failed / error [mayRetry]
            STEP_1_backingOff --> STEP_1_running: after backoff
        }
        state "STEP_2" as STEP_2 {
            direction LR
            [*] --> STEP_2_opening
            state "opening" as STEP_2_opening
            state "waiting" as STEP_2_waiting
            STEP_2_waiting --> STEP_2_opening: AGAIN
        }
        state "undoing" as PROCESSING_undoing
        STEP_1 --> PROCESSING_undoing: RESTART, CANCEL, STOP / error [isLast]
        STEP_2 --> PROCESSING_undoing: RESTART
        STEP_1 --> STEP_2: done → waiting
        PROCESSING_undoing --> STEP_1: ALL
    }
    state "COMPLETED" as COMPLETED
    state "ROLLEDBACK" as ROLLEDBACK
    INITIALIZED --> PROCESSING: Go
    PROCESSING --> COMPLETED: DONE
    PROCESSING --> ROLLEDBACK: DONE
    COMPLETED --> [*]
    ROLLEDBACK --> [*]`);
});

test("contracted, only the documented states and their labels remain", () => {
  expect(contractedDiagram(machine)).toBe(`stateDiagram-v2
    [*] --> INITIALIZED
    INITIALIZED --> PROCESSING: Go
    PROCESSING --> STEP_1
    STEP_1 --> STEP_2
    STEP_2 --> COMPLETED
    PROCESSING --> ROLLEDBACK
    COMPLETED --> [*]
    ROLLEDBACK --> [*]`);
});

test("across borders, an edge is drawn between the two that stand side by side, and into a state's own part from the others", () => {
  const nested = createMachine({
    id: "nested",
    initial: "PROCESSING",
    states: {
      PROCESSING: marked("PROCESSING", {
        initial: "STEP_1",
        on: { SKIP: ".STEP_2" },
        states: {
          STEP_1: marked("STEP_1", {
            initial: "running",
            states: { running: marked("STEP_1"), backingOff: marked("STEP_1") },
          }),
          STEP_2: marked("STEP_2", {
            initial: "running",
            states: { running: marked("STEP_2"), stuck: marked("STEP_2", { on: { ALL: "#nested.PROCESSING" } }) },
          }),
        },
      }),
    },
  });
  expect(refinedDiagram(nested)).toBe(`stateDiagram-v2
    [*] --> PROCESSING
    state "PROCESSING" as PROCESSING {
        [*] --> STEP_1
        state "STEP_1" as STEP_1 {
            direction LR
            [*] --> STEP_1_running
            state "running" as STEP_1_running
            state "backingOff" as STEP_1_backingOff
        }
        state "STEP_2" as STEP_2 {
            direction LR
            [*] --> STEP_2_running
            state "running" as STEP_2_running
            state "stuck" as STEP_2_stuck
        }
        STEP_1 --> STEP_2: SKIP
        STEP_2 --> STEP_1: ALL
    }`);
});
