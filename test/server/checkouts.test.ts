import { describe, expect, it } from "vitest";
import type { JournalEntry } from "../../persistence/store.ts";
import { checkoutBody } from "../../server/checkout-body.ts";
import { problemOf, setup, T0, viewOf } from "./setup.ts";

const CHECKOUT = "/orchestration/checkout/ctx_1";

function entry(seq: number): JournalEntry {
  const from = seq === 1 ? null : `S${seq - 1}`;
  return { seq, at: T0 + seq, event: { type: "step.done", amount: seq }, from, to: `S${seq}`, contextHash: "h" };
}

function withCheckout(parkedReason: string | null = null, isOfOtherVersion = false) {
  const bundle = setup();
  const stored = { caller: "local", userId: "usr_42", createdAt: T0, parkedReason, isOfOtherVersion, view: viewOf() };
  bundle.orchestrator.views.set("ctx_1", stored);
  bundle.orchestrator.journals.set(
    "ctx_1",
    Array.from({ length: 250 }, (_, i) => entry(i + 1)),
  );
  return bundle;
}

interface Page {
  readonly entries: readonly { readonly seq: number }[];
  readonly next: string | null;
}

describe("reading a checkout", () => {
  it("answers the same body as initiate", async () => {
    const { app } = withCheckout();
    const response = await app.request(CHECKOUT);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual(checkoutBody(viewOf()));
  });

  it("says that a parked one needs attention", async () => {
    const { app } = withCheckout("It does not load.");
    expect(await (await app.request(CHECKOUT)).json()).toMatchObject({ status: "NEEDS_ATTENTION" });
  });

  it("one of a version that this node doesn't know is asked for again, and its journal is shown all the same", async () => {
    const { app } = withCheckout(null, true);
    const response = await app.request(CHECKOUT);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await problemOf(response)).toMatchObject({ status: 503, code: "OTHER_VERSION", executionContextId: "ctx_1" });
    expect((await app.request(`${CHECKOUT}/history`)).status).toBe(200);
  });

  it.each(["%00", "ctx_%ud800", "%ZZ", "a".repeat(200), "..%2F..", "ctx_1%00"])(
    "never asks the orchestrator for the impossible id %s",
    async (id) => {
      const { app, orchestrator } = setup();
      expect(await problemOf(await app.request(`/orchestration/checkout/${id}`))).toMatchObject({ status: 404 });
      expect(orchestrator.viewed).toHaveLength(0);
    },
  );
});

describe("the history", () => {
  it("has an entry's time, event, states and payload", async () => {
    const { app } = withCheckout();
    const page = (await (await app.request(`${CHECKOUT}/history?limit=1`)).json()) as Page;
    expect(page.entries).toEqual([
      { seq: 1, at: "2027-01-08T10:00:00.001Z", event: "step.done", from: null, to: "S1", data: { amount: 1 } },
    ]);
  });

  it("comes page by page, gapless, until there is no next link", async () => {
    const { app } = withCheckout();
    const seqs: number[] = [];
    let pages = 0;
    for (let link: string | null = `${CHECKOUT}/history`; link !== null; pages++) {
      const page = (await (await app.request(link)).json()) as Page;
      seqs.push(...page.entries.map(({ seq }) => seq));
      link = page.next;
    }
    expect(seqs).toEqual(Array.from({ length: 250 }, (_, i) => i + 1));
    expect(pages).toBe(3);
  });

  it.each(["after=-1", "after=x", "limit=0", "limit=501", "limit=1.5", "after=99999999999"])("refuses ?%s", async (query) => {
    const { app } = withCheckout();
    expect(await problemOf(await app.request(`${CHECKOUT}/history?${query}`))).toMatchObject({
      status: 400,
      violations: [{ code: "INVALID_QUERY" }],
    });
  });

  it("without its beginning says so, and where the rest begins", async () => {
    const { app, orchestrator } = withCheckout();
    orchestrator.journals.set("ctx_1", [entry(37), entry(38)]);
    const removed = await problemOf(await app.request(`${CHECKOUT}/history?after=3&limit=1`));
    expect(removed).toMatchObject({ status: 410, code: "REMOVED_BY_RETENTION", class: "TERMINAL", executionContextId: "ctx_1" });
    const next = String(removed["next"]);
    expect(next).toBe(`${CHECKOUT}/history?after=36&limit=1`);
    expect(await (await app.request(next)).json()).toMatchObject({ entries: [{ seq: 37 }], next: expect.any(String) as string });
  });

  it("is empty past its end", async () => {
    const { app } = withCheckout();
    expect(await (await app.request(`${CHECKOUT}/history?after=250`)).json()).toEqual({ entries: [], next: null });
  });
});
