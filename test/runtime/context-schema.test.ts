/** Each field of a stored context, one at a time: gone, and of another type. */
import { expect, test } from "vitest";
import { UNDO_ORDER, type CheckoutContext } from "../../machines/context.ts";
import { contextMisfit } from "../../runtime/context-schema.ts";
import { toPlainJson } from "../../runtime/engine.ts";
import { captureOf, contextWith, refundOf } from "../support/checkout-context.ts";

const OWED = { ...captureOf("psr_owed"), reason: "LATE", round: 2, failedRefundIds: ["re_0"] } as const;

/** With something in every field, so that each one is looked at. */
const FULL: CheckoutContext = {
  ...contextWith({
    dueAt: 900_000,
    nextAction: { type: "REDIRECT", expiresAt: 800_000, url: "https://pay.example/1" },
    declineCode: "INSUFFICIENT_FUNDS",
    choice: { method: "CARD", instrumentId: "ins_1" },
    settledBy: captureOf("psr_1"),
    failedAttemptIds: ["att_0"],
    owed: [OWED],
    refunds: [{ ...refundOf(OWED), byHand: true }],
  }),
  flags: { fast: { value: true, variant: "on", reason: "TARGETING_MATCH" } },
  paymentGroups: [{ paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "sel_1", paymentTiming: "NOW" }],
  preferences: [{ ref: "p1", preferenceId: "prf_1", lineItemRefs: ["l1"] }],
  order: { checkoutOrderId: "co_1", orderNumber: "BLR-000001" },
  optIns: [{ ref: "o1", optInId: "opt_1" }],
  lineItems: [{ ref: "l1", lineItemId: "li_1" }],
  retry: { failures: 1, firstFailedAt: 1_000, delayMs: 250 },
  lastError: {
    step: "pricing",
    class: "TRANSIENT",
    code: "UNAVAILABLE",
    message: "Not now.",
    retryAfterMs: 250,
    details: { a: 1 },
  },
  undone: ["order"],
  deferred: ["optIns"],
  undoneByHand: ["invoice"],
};

type Path = readonly (string | number)[];

/** Every field, the whole ones and those in them. */
function pathsOf(value: unknown, at: Path = []): readonly Path[] {
  if (typeof value !== "object" || value === null) return [at];
  const inner = Object.entries(value).flatMap(([name, child]) =>
    pathsOf(child, [...at, Array.isArray(value) ? Number(name) : name]),
  );
  return at.length === 0 ? inner : [at, ...inner];
}

/** What an error says of itself is its own affair. */
const PATHS = pathsOf(FULL)
  .map((path) => path.join("."))
  .filter((path) => path !== "lastError.details.a");
/** May be absent, but not undefined: JSON has no such thing. */
const OPTIONAL = ["payment.nextAction.url", "payment.refunds.0.byHand", "lastError.retryAfterMs", "lastError.details"];
const NULLABLE = [
  "flags.fast.variant",
  "invoice",
  "order",
  "payment.pcrId",
  "payment.attemptId",
  "payment.dueAt",
  "payment.nextAction",
  "payment.declineCode",
  "payment.choice",
  "payment.settledBy",
  "payment.refunds.0.providerRefundId",
  "retry.firstFailedAt",
  "lastError",
];
/** What a list or a record holds may be gone as a whole. */
const FIELDS = PATHS.filter((path) => !/\.\d+$/.test(path) && path !== "flags.fast");

/** The context with something done to the holder of one field. */
function changed(path: string, change: (holder: Record<string, unknown>, name: string) => void): unknown {
  const context = toPlainJson(FULL) as unknown as Record<string, unknown>;
  const names = path.split(".");
  const holder = names.slice(0, -1).reduce<Record<string, unknown>>((one, name) => one[name] as Record<string, unknown>, context);
  change(holder, names.at(-1) ?? "");
  return context;
}

function withValue(path: string, value: unknown): unknown {
  return changed(path, (holder, name) => (holder[name] = value));
}

/** The fields that can be read all the same. */
function unnoticed(paths: readonly string[], contextOf: (path: string) => unknown): readonly string[] {
  return paths.filter((path) => {
    const misfit = contextMisfit(contextOf(path));
    if (misfit !== null) expect(misfit.startsWith(path), `${path}, told as ${misfit}`).toBe(true);
    return misfit === null;
  });
}

test("a context with something in every field can be read", () => {
  expect(contextMisfit(FULL)).toBeNull();
  expect(PATHS.length).toBeGreaterThan(100);
});

test("a field of another type is named, whichever it is", () => {
  // Neither text, number, truth nor object; and no field is a list of lists.
  expect(unnoticed(PATHS, (path) => withValue(path, [[]]))).toEqual([]);
});

test("a field that is gone is named, but for those that are optional", () => {
  expect(unnoticed(FIELDS, (path) => changed(path, (holder, name) => void delete holder[name])).toSorted()).toEqual(
    OPTIONAL.toSorted(),
  );
});

test("a field that is null is named, but for those that may be", () => {
  expect(unnoticed(PATHS, (path) => withValue(path, null)).toSorted()).toEqual(NULLABLE.toSorted());
});

test("a misfit says where it is and what was expected", () => {
  expect(contextMisfit(withValue("payment.round", "1"))).toMatch(/^payment\.round: .*expected number/);
});

test.each([
  ["paymentGroups.0.paymentTiming", ["NOW", "LATER"]],
  ["invoice.lines.0.kind", ["LINE_ITEM", "OPT_IN"]],
  ["payment.status", ["NOT_REQUESTED", "REQUIRES_ACTION", "DECLINED", "CAPTURED"]],
  ["payment.owed.0.reason", ["LATE", "DUPLICATE", "ROLLBACK", "AMOUNT_MISMATCH"]],
  ["payment.refunds.0.reason", ["LATE", "DUPLICATE", "ROLLBACK", "AMOUNT_MISMATCH"]],
  ["lastError.class", ["TRANSIENT", "TERMINAL"]],
  ["undone.0", UNDO_ORDER],
  ["deferred.0", UNDO_ORDER],
  ["undoneByHand.0", UNDO_ORDER],
  ["flags.fast.value", ["text", 7, false]],
])("%s is one of its values, and nothing else", (path, values) => {
  expect(values.filter((value) => contextMisfit(withValue(path, value)) !== null)).toEqual([]);
  expect(contextMisfit(withValue(path, { of: "a later version" }))).toContain(path);
  if (path !== "flags.fast.value") expect(contextMisfit(withValue(path, ""))).toContain(path);
});

test("a capture's refund by hand says so or says nothing", () => {
  expect(contextMisfit(withValue("payment.refunds.0.byHand", false))).toContain("payment.refunds.0.byHand");
});
