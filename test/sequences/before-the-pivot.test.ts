import { expect, test } from "vitest";
import { descendants } from "../../machines/contraction.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import { checkSequences } from "./check-sequences.ts";
import { isAfterPivot, isUndoing, START_STATES } from "./start-states.ts";

test("a sequence begins at every state of the chart from STEP_5 on, and at no other", () => {
  const isBefore = (path: string) => /^(INITIALIZED|PROCESSING\.(opening|STEP_[1-4])\b)/.test(path);
  const atomic = descendants(checkoutMachine.root).filter((node) => node.type === "atomic");
  const paths = atomic.map((node) => node.path.join(".")).filter((path) => !isBefore(path));
  expect([...new Set(START_STATES.map(({ path }) => path))].toSorted()).toEqual(paths.toSorted());
});

checkSequences("before the pivot", (state) => !isUndoing(state) && !isAfterPivot(state));
