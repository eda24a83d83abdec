/** The finer points of I9: first tries in strict reverse, what is done is noted once, and what was put aside has its turn last. */
import { expect, test } from "vitest";
import { UNDO_ORDER, type UndoName } from "../../machines/context.ts";
import { breaches, DEFERRED, numbersOf, telling, type TransitionRow, undoing, WAITING } from "./transitions.ts";

const ALL = UNDO_ORDER.toReversed();
const FIRST = "PROCESSING.undoing.paymentGroups.running";
const ROLLED_BACK = { events: telling("checkout_rolled_back") };

function undoOf(name: UndoName): string {
  return `PROCESSING.undoing.${name}.running`;
}

/** All that comes before its undo in the reverse order. */
function before(name: UndoName): UndoName[] {
  return ALL.slice(0, ALL.indexOf(name));
}

const BROKEN: readonly TransitionRow[] = [
  ["something is put aside while nothing is undone", undoing(WAITING, []), undoing(WAITING, [], ["order"])],
  ["what was undone is forgotten outside", undoing(WAITING, ["order"]), undoing(WAITING, [])],
  ["what was undone is forgotten", undoing(undoOf("order"), ["optIns"]), undoing(undoOf("order"), [])],
  ["what was undone changes places", undoing(DEFERRED, ["optIns", "order"]), undoing(DEFERRED, ["order", "optIns"])],
  ["the same is put aside twice", undoing(undoOf("order"), []), undoing(undoOf("invoice"), [], ["order", "order"])],
  ["what is undone is put aside too", undoing(undoOf("order"), []), undoing(undoOf("invoice"), ["order"], ["order"])],
  ["what was not put aside has its turn", undoing(DEFERRED, [], ["order"]), undoing(DEFERRED, ["invoice"], ["order"])],
  [
    "what was put aside is done before its turn",
    undoing(undoOf("order"), [], ["optIns"]),
    undoing(undoOf("invoice"), ["optIns"], ["order"]),
  ],
  [
    "two that were put aside are done at once",
    undoing(DEFERRED, [], ["order", "invoice"]),
    undoing(DEFERRED, ["order", "invoice"]),
  ],
  ["what was put aside has its turn before anything was tried", undoing(WAITING, []), undoing(DEFERRED, [])],
  ["a later undo goes to what was put aside", undoing(undoOf("order"), []), undoing(DEFERRED, ["order"])],
  ["the first effect's undo goes back to a later one", undoing(FIRST, []), undoing(undoOf("order"), ["paymentGroups"])],
  ["what was put aside goes back to the first tries", undoing(DEFERRED, [], ["order"]), undoing(undoOf("order"), [], ["order"])],
  ["what was put aside leads back to the payment", undoing(DEFERRED, []), undoing(WAITING, [])],
  ["the first effect's undo leads back to the payment", undoing(FIRST, []), undoing(WAITING, ["paymentGroups"])],
];

test.each(BROKEN.map(([what, ...row]) => [what, row] as const))("I9 is broken, and no other: %s", (_, [from, to, written]) => {
  expect(numbersOf(breaches(from, to, written))).toEqual(["I9"]);
});

test("I9 is broken twice where the undo that is left out was not done either", () => {
  const lines = breaches(undoing(undoOf("order"), []), undoing(undoOf("preferences"), []));
  expect(numbersOf(lines)).toEqual(["I9", "I9"]);
});

test("I9 is broken too where a rollback ends before its first effect is undone", () => {
  const [from, to] = [undoing(undoOf("preferences"), []), undoing("ROLLEDBACK.atRest", ["preferences"])];
  expect(numbersOf(breaches(from, to, ROLLED_BACK))).toEqual(["I4", "I9"]);
});

const SOUND: readonly TransitionRow[] = [
  ["a rollback that begins anywhere", undoing("PROCESSING.STEP_3.running", []), undoing(undoOf("order"), [])],
  ["an undo that is tried again", undoing(undoOf("order"), []), undoing("PROCESSING.undoing.order.backingOff", [])],
  ["an undo that is done", undoing(undoOf("order"), before("order")), undoing(undoOf("invoice"), [...before("order"), "order"])],
  [
    "an undo that is put aside",
    undoing(undoOf("order"), ["optIns"], ["lineItems"]),
    undoing(undoOf("invoice"), ["optIns"], ["lineItems", "order"]),
  ],
  [
    "late money, after its reversal was done",
    undoing(undoOf("order"), before("order")),
    undoing(undoOf("order"), before("order"), ["paymentRequest"]),
  ],
  [
    "the last first try, with something left",
    undoing(FIRST, before("paymentGroups").slice(1), ["lineItemsUpdatedEvent"]),
    undoing(DEFERRED, ALL.slice(1), ["lineItemsUpdatedEvent"]),
  ],
  [
    "the last first try, with nothing left",
    undoing(FIRST, before("paymentGroups")),
    undoing("ROLLEDBACK.atRest", ALL),
    ROLLED_BACK,
  ],
  [
    "one of two that were put aside",
    undoing(DEFERRED, ["preferences"], ["order", "invoice"]),
    undoing(DEFERRED, ["preferences", "order"], ["invoice"]),
  ],
  [
    "the last of what was put aside",
    undoing(DEFERRED, ["preferences", "paymentGroups"], ["invoice"]),
    undoing("ROLLEDBACK.atRest", ["preferences", "paymentGroups", "invoice"]),
    ROLLED_BACK,
  ],
  ["what happens after the end", undoing("ROLLEDBACK.atRest", ALL), undoing("ROLLEDBACK.refunding.running", ALL)],
];

test.each(SOUND.map(([what, ...row]) => [what, row] as const))("%s breaks nothing", (_, [from, to, written]) => {
  expect(breaches(from, to, written)).toEqual([]);
});
