import { describe, expect, test } from "vitest";
import { transfersBetween, type Transfer } from "../../machines/ledger.ts";
import { owedFor } from "../../machines/payment.ts";
import { compareCapture, positionOf, type BookedTransfer } from "../../services/capture-comparison.ts";
import type { ChargePage, ListedCharge } from "../../services/payment-provider.ts";
import { reconcile, type MoneyBooks } from "../../services/reconciliation.ts";

const NOW = Date.UTC(2027, 0, 8, 10);
const LONG_AGO = NOW - 3_600_000;
const SETTLE_MS = 60_000;
const AMOUNT = 1000;

const move = (debit: Transfer["debit"], credit: Transfer["credit"], amount = AMOUNT, at = LONG_AGO): BookedTransfer => ({
  debit,
  credit,
  amount,
  currency: "INR",
  pspReference: "psp_1",
  at,
});
// As machines/ledger.ts books them.
const CAPTURED = move("PROVIDER", "SUSPENSE");
const CONFIRMED = move("SUSPENSE", "ORDER");
const REFUNDED = move("SUSPENSE", "PROVIDER");
const SENT_BACK = move("PROVIDER", "SUSPENSE");
const BY_HAND = move("SUSPENSE", "BY_HAND");

interface Capture {
  readonly amount?: number;
  readonly refunded?: number;
  readonly currency?: string;
}

function charge(id: string, executionContextId: string, captures: readonly Capture[] = [{}], movedAt = LONG_AGO): ListedCharge {
  return {
    chargeId: id,
    executionContextId,
    pcrId: `pcr_${executionContextId}`,
    attemptId: `att_${id}`,
    status: captures.length > 0 ? "captured" : "cancelled",
    currency: "INR",
    nextAction: null,
    declineCode: null,
    movedAt,
    captures: captures.map(({ amount = AMOUNT, refunded = 0, currency = "INR" }, index) => ({
      pspReference: `psp_${index + 1}`,
      amount,
      currency,
      refundedAmount: refunded,
    })),
  };
}

function run(setup: {
  readonly charges?: readonly ListedCharge[];
  readonly ledgers?: Readonly<Record<string, readonly BookedTransfer[]>>;
  readonly checkouts?: readonly string[];
  readonly suspense?: readonly { readonly contextId: string; readonly currency: string; readonly amount: number }[];
}) {
  const { charges = [], ledgers = {}, checkouts = Object.keys(ledgers), suspense = [] } = setup;
  const names = Object.entries(ledgers).flatMap(([executionContextId, transfers]) =>
    [...new Set(transfers.map(({ pspReference }) => pspReference))].map((pspReference) => ({ executionContextId, pspReference })),
  );
  const asked: ChargePage[] = [];
  const books: MoneyBooks = {
    ledger: async (id) => ledgers[id] ?? [],
    hasCheckout: async (id) => checkouts.includes(id),
    // One at a time, so that the paging itself is used.
    references: async (after) => {
      const next = after === null ? 0 : names.findIndex((one) => one.executionContextId === after.executionContextId) + 1;
      return names.slice(next, next + 1);
    },
    unsettled: async (olderThanMs) => (olderThanMs === SETTLE_MS ? suspense : []),
  };
  const progress: number[] = [];
  const result = reconcile({
    provider: {
      listCharges: async (page) => {
        asked.push(page);
        const next = page.after === undefined ? 0 : charges.findIndex(({ chargeId }) => chargeId === page.after) + 1;
        return charges.slice(next, next + 2);
      },
    },
    books,
    startedAt: NOW,
    settleMs: SETTLE_MS,
    onProgress: (count) => void progress.push(count),
  });
  return { result, asked, progress };
}

const codesOf = async (setup: Parameters<typeof run>[0]) => (await run(setup).result).differences.map(({ code }) => code);

describe("both sides say the same", () => {
  test.each([
    ["a confirmed checkout", [{}], [CAPTURED, CONFIRMED]],
    ["a capture that is on its way", [{}], [CAPTURED]],
    ["a refund", [{ refunded: AMOUNT }], [CAPTURED, REFUNDED]],
    ["a refund that failed", [{}], [CAPTURED, REFUNDED, SENT_BACK]],
    ["a refund that failed and was made again", [{ refunded: AMOUNT }], [CAPTURED, REFUNDED, SENT_BACK, REFUNDED]],
    ["a capture that the provider gave back before anybody heard of it", [{ refunded: AMOUNT }], []],
    ["a charge that took nothing", [], []],
  ])("of %s", async (_, captures, ledger) => {
    const { result } = run({ charges: [charge("c1", "ctx_1", captures)], ledgers: { ctx_1: ledger } });
    expect(await result).toMatchObject({ charges: 1, captures: captures.length, stillMoving: 0, byHand: 0, differences: [] });
  });

  test("of what an operator gave back by hand, which is counted: also when the hand did it at the provider", async () => {
    const ledgers = { ctx_1: [CAPTURED, BY_HAND], ctx_2: [CAPTURED, BY_HAND] };
    const charges = [charge("c1", "ctx_1"), charge("c2", "ctx_2", [{ refunded: AMOUNT }])];
    expect(await run({ charges, ledgers }).result).toMatchObject({
      byHand: 2,
      differences: [],
      totals: [{ currency: "INR", captures: 2, provider: AMOUNT, ledger: AMOUNT, byHand: 2 * AMOUNT }],
    });
  });

  test("of what was given back by hand because the provider doesn't know the capture", async () => {
    const { result } = run({ ledgers: { ctx_1: [CAPTURED, BY_HAND] } });
    expect(await result).toMatchObject({ byHand: 1, differences: [] });
  });

  test("reads the transfers that the machine's own ledger makes", async () => {
    const owed = owedFor({ pspReference: "psp_1", amount: AMOUNT, currency: "INR" }, "LATE");
    const view = (payment: object) =>
      ({
        state: "ROLLEDBACK",
        context: { payment: { settledBy: null, owed: [], refunds: [], ...payment } },
      }) as unknown as Parameters<typeof transfersBetween>[0];
    const empty = view({});
    const refunded = view({ refunds: [{ ...owed, refundId: "rfd_1" }] });
    const byHand = view({ refunds: [{ ...owed, refundId: "rsl_1", byHand: true }] });
    const booked = (after: typeof empty) => transfersBetween(empty, after).map((one) => ({ ...one, at: LONG_AGO }));
    expect(positionOf(booked(view({ owed: [owed] })), "psp_1")).toMatchObject({ heard: AMOUNT, held: AMOUNT, byHand: 0 });
    expect(positionOf(booked(refunded), "psp_1")).toMatchObject({ heard: AMOUNT, held: 0, byHand: 0 });
    expect(positionOf(booked(byHand), "psp_1")).toMatchObject({ heard: AMOUNT, held: AMOUNT, byHand: AMOUNT });
  });
});

describe("a difference", () => {
  test.each([
    ["CAPTURE_UNKNOWN", [{}], []],
    ["CAPTURE_UNKNOWN", [{ refunded: 1 }], []],
    ["REFUND_UNKNOWN", [{ refunded: AMOUNT }], [CAPTURED, CONFIRMED]],
    ["REFUND_UNKNOWN", [{ refunded: 1 }], [CAPTURED, CONFIRMED]],
    ["REFUND_MISSING", [{}], [CAPTURED, REFUNDED]],
    ["REFUND_MISSING", [{ refunded: 1 }], [CAPTURED, REFUNDED]],
    ["AMOUNT_DIFFERS", [{ amount: AMOUNT + 1 }], [CAPTURED, CONFIRMED]],
    ["AMOUNT_DIFFERS", [{ currency: "USD" }], [CAPTURED, CONFIRMED]],
    ["CAPTURE_MISSING", [], [CAPTURED, CONFIRMED]],
    ["REFUND_UNKNOWN", [{ refunded: 1 }], [CAPTURED, BY_HAND]],
  ])("is %s when the provider has %j", async (code, captures, ledger) => {
    const setup = { charges: [charge("c1", "ctx_1", captures)], ledgers: { ctx_1: ledger } };
    expect(await codesOf(setup)).toEqual([code]);
  });

  test("names both sides' amounts and the checkout", async () => {
    const { result } = run({ charges: [charge("c1", "ctx_1")], ledgers: { ctx_1: [CAPTURED, REFUNDED] } });
    expect((await result).differences).toEqual([
      {
        code: "REFUND_MISSING",
        message: "The ledger says that this was given back; the provider still holds it.",
        executionContextId: "ctx_1",
        pcrId: "pcr_ctx_1",
        pspReference: "psp_1",
        currency: "INR",
        provider: AMOUNT,
        ledger: 0,
        notice: null,
      },
    ]);
  });

  test("is the provider's money for a checkout that nobody knows, unless it was given back", async () => {
    const charges = [charge("c1", "ctx_gone"), charge("c2", "ctx_gone", [{ refunded: AMOUNT }])];
    expect(await codesOf({ charges })).toEqual(["UNKNOWN_CHECKOUT"]);
  });

  test("is a capture of a known checkout whose ledger is empty", async () => {
    expect(await codesOf({ charges: [charge("c1", "ctx_1")], checkouts: ["ctx_1"] })).toEqual(["CAPTURE_UNKNOWN"]);
  });

  test("is money that stays in suspense", async () => {
    const suspense = [-5, 7].map((amount) => ({ contextId: "ctx_1", currency: "INR", amount }));
    expect((await run({ suspense }).result).differences).toMatchObject([
      {
        code: "IN_SUSPENSE",
        executionContextId: "ctx_1",
        ledger: 5,
        message: expect.stringContaining("was captured") as unknown,
      },
      { code: "IN_SUSPENSE", ledger: 7, pspReference: null, message: expect.stringContaining("More was") as unknown },
    ]);
  });

  test("is found in a second capture and on a later page, with the totals of each currency", async () => {
    const charges = [
      charge("c1", "ctx_1"),
      charge("c2", "ctx_2", []),
      charge("c3", "ctx_2", [{}, { amount: 7, currency: "KWD" }]),
      charge("c4", "ctx_3"),
    ];
    const settled = [CAPTURED, CONFIRMED];
    const { result, asked, progress } = run({ charges, ledgers: { ctx_1: settled, ctx_2: settled, ctx_3: settled } });
    expect(await result).toMatchObject({
      charges: 4,
      captures: 4,
      differences: [{ code: "CAPTURE_UNKNOWN", executionContextId: "ctx_2", pspReference: "psp_2", provider: 7 }],
      totals: [
        { currency: "INR", captures: 3, provider: 3 * AMOUNT, ledger: 3 * AMOUNT },
        { currency: "KWD", captures: 1, provider: 7, ledger: 0 },
      ],
    });
    expect(asked.map(({ after }) => after)).toEqual([undefined, "c2", "c4"]);
    expect(progress).toEqual([2, 4]);
  });
});

describe("money that moved just now", () => {
  const late = NOW - SETTLE_MS;

  test.each([
    ["at the provider", [charge("c1", "ctx_1", [{}], late)], []],
    ["in the ledger", [charge("c1", "ctx_1")], [CAPTURED, move("SUSPENSE", "PROVIDER", AMOUNT, late)]],
    ["in the ledger alone", [], [move("PROVIDER", "SUSPENSE", AMOUNT, late)]],
  ])("%s is counted, not reported", async (_, charges, ledger) => {
    const { result } = run({ charges, ledgers: { ctx_1: ledger } });
    expect(await result).toMatchObject({ stillMoving: 1, differences: [], totals: [] });
  });

  test("counts a checkout once", async () => {
    const { result } = run({ charges: [charge("c1", "ctx_1", [{}, {}], late)], checkouts: ["ctx_1"] });
    expect(await result).toMatchObject({ stillMoving: 1, captures: 2 });
  });

  test("is judged when it moved any earlier", async () => {
    const charges = [charge("c1", "ctx_1", [{}], late - 1)];
    expect(await codesOf({ charges, checkouts: ["ctx_1"] })).toEqual(["CAPTURE_UNKNOWN"]);
  });

  test("that both sides agree on is no movement", async () => {
    const { result } = run({ charges: [charge("c1", "ctx_1", [{}], NOW)], ledgers: { ctx_1: [{ ...CAPTURED, at: NOW }] } });
    expect(await result).toMatchObject({ stillMoving: 0, totals: [{ provider: AMOUNT, ledger: AMOUNT }] });
  });
});

describe("the event that would tell the checkout", () => {
  const compared = (capture: Capture, ledger: readonly BookedTransfer[]) => {
    const listed = charge("c1", "ctx_1", [capture]);
    const [first] = listed.captures;
    if (first === undefined) throw new Error("a charge without a capture");
    return compareCapture(listed, first, positionOf(ledger, "psp_1"));
  };

  test("is the success that nobody heard of, always under the same id", () => {
    expect(compared({}, [])?.notice).toEqual({
      eventId: "reconcile:psp_1",
      pcrId: "pcr_ctx_1",
      attemptId: "att_c1",
      pspReference: "psp_1",
      amount: AMOUNT,
      currency: "INR",
      occurredAt: new Date(LONG_AGO).toISOString(),
    });
  });

  test("isn't made of money that was partly given back, nor of any other difference", () => {
    expect(compared({ refunded: 1 }, [])).toMatchObject({ code: "CAPTURE_UNKNOWN", notice: null });
    expect(compared({}, [CAPTURED, REFUNDED])).toMatchObject({ code: "REFUND_MISSING", notice: null });
  });
});
