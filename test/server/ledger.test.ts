import { describe, expect, it } from "vitest";
import type { LedgerEntry } from "../../persistence/store.ts";
import { ledgerBody } from "../../server/ledger-body.ts";
import { ledgerBodySchema } from "../../server/response-schema.ts";
import { problemOf, setup, setupWithCheckout, T0 } from "./setup.ts";

const LEDGER = "/orchestration/checkout/ctx_1/ledger";

function moved(
  seq: number,
  debit: LedgerEntry["debit"],
  credit: LedgerEntry["credit"],
  rest: Partial<LedgerEntry> = {},
): LedgerEntry {
  return { seq, at: T0 + seq, debit, credit, amount: 249900, currency: "INR", pspReference: "psr_1", ...rest };
}

describe("the ledger of a checkout", () => {
  it("has every transfer in order, and what they come to for each account", async () => {
    const { app, orchestrator } = setupWithCheckout();
    orchestrator.ledgers.set("ctx_1", [moved(18, "PROVIDER", "SUSPENSE"), moved(20, "SUSPENSE", "ORDER")]);
    const response = await app.request(LEDGER);
    expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const transfer = { amount: 249900, currency: "INR", pspReference: "psr_1" };
    expect(await response.json()).toEqual({
      entries: [
        { seq: 18, at: "2027-01-08T10:00:00.018Z", debit: "PROVIDER", credit: "SUSPENSE", ...transfer },
        { seq: 20, at: "2027-01-08T10:00:00.020Z", debit: "SUSPENSE", credit: "ORDER", ...transfer },
      ],
      balances: [
        { account: "PROVIDER", currency: "INR", amount: 249900 },
        { account: "SUSPENSE", currency: "INR", amount: 0 },
        { account: "ORDER", currency: "INR", amount: -249900 },
      ],
    });
  });

  it("keeps currencies apart, and sums to zero in each", () => {
    const body = ledgerBody([
      moved(1, "PROVIDER", "SUSPENSE"),
      moved(2, "PROVIDER", "SUSPENSE", { amount: 3000, currency: "USD", pspReference: "psr_2" }),
      moved(3, "SUSPENSE", "PROVIDER", { amount: 3000, currency: "USD", pspReference: "psr_2" }),
      moved(4, "SUSPENSE", "BY_HAND", { amount: 100 }),
    ]);
    expect(body.balances).toEqual([
      { account: "PROVIDER", currency: "INR", amount: 249900 },
      { account: "SUSPENSE", currency: "INR", amount: -249800 },
      { account: "PROVIDER", currency: "USD", amount: 0 },
      { account: "SUSPENSE", currency: "USD", amount: 0 },
      { account: "BY_HAND", currency: "INR", amount: -100 },
    ]);
    expect(ledgerBodySchema.parse(body)).toEqual(body);
  });

  it("is empty before any money", async () => {
    expect(await (await setupWithCheckout().app.request(LEDGER)).json()).toEqual({ entries: [], balances: [] });
  });

  it("of an unknown checkout is a 404", async () => {
    expect(await problemOf(await setup().app.request(LEDGER))).toMatchObject({ status: 404 });
  });
});
