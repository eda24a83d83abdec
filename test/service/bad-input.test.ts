/** Wrong requests against everything real: a 4xx that names every mistake, and no row anywhere (hard case 4). */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CheckoutRequest } from "../../steps/request.ts";
import { lineItem, optIn, slotPreference } from "../services/checkouts.ts";
import { bookableDate, order, type Answer } from "../support/client.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { rowCounts } from "../support/tables.ts";

/** What a body does before the claim doesn't depend on the database, so one of the two gets fewer. */
const RUNS = { embedded: 60, postgres: 240 };
const slot = (slotId: string, date = bookableDate()) => order("ins_sync_ok", { preferences: [slotPreference(slotId, date)] });
const items = (count: number) => Array.from({ length: count }, (_, index) => lineItem({ ref: `l${index}`, quantity: 1 }));
const text = (body: object) => JSON.stringify(body);
const LONE_SURROGATE = "\\ud800";

/** What is sent, its status, and where its mistakes are. */
const WRONG: readonly { what: string; body: object | string; status?: number; pointers?: readonly string[] }[] = [
  { what: "half a document", body: text(order()).slice(0, 200), pointers: [""] },
  { what: "nothing", body: "", pointers: [""] },
  { what: "a list", body: "[]", pointers: [""] },
  { what: "a megabyte", body: text({ ...order(), pad: "x".repeat(1 << 20) }), status: 413 },
  { what: "nesting 100,000 deep", body: `${"[".repeat(100_000)}${"]".repeat(100_000)}`, pointers: [""] },
  { what: "NUL in a value", body: text(order()).replace("usr_42", "usr\\u0000"), pointers: ["/user/userId"] },
  {
    what: "NUL in a text of a preference",
    body: order("ins_sync_ok", {
      preferences: [{ ref: "p1", type: "INSTRUCTION", lineItemRefs: ["l1"], payload: { text: "a\0" } }],
    }),
    pointers: ["/preferences/0/payload/text"],
  },
  { what: "half a surrogate pair", body: text(order()).replace("usr_42", LONE_SURROGATE), pointers: ["/user/userId"] },
  {
    what: "prices of the client's own",
    body: { ...order(), total: 1, lineItems: [{ ...lineItem(), price: 1 }] },
    pointers: ["/total", "/lineItems/0/price"],
  },
  {
    what: "unknown SKU, plan, coupon and slot together",
    body: order("ins_sync_ok", {
      lineItems: [lineItem(), lineItem({ ref: "l2", sku: "NO-SUCH" })],
      preferences: [slotPreference("slot_none", bookableDate())],
      optIns: [optIn({ planId: "none" })],
      couponCodes: ["NOSUCH"],
    }),
    pointers: ["/lineItems/1/sku", "/preferences/0/payload/slotId", "/optIns/0/planId", "/couponCodes/0"],
  },
  {
    what: "another currency",
    body: order("ins_sync_ok", { expectedTotal: { amount: 249_900, currency: "JPY" } }),
    pointers: ["/expectedTotal/currency"],
  },
  { what: "a day that is over", body: slot("slot_0900", "2020-02-29"), pointers: ["/preferences/0/payload/date"] },
  { what: "a day that never was", body: slot("slot_0900", "2027-02-30"), pointers: ["/preferences/0/payload/date"] },
  {
    what: "references to nothing and doubled ones",
    body: order("ins_sync_ok", {
      lineItems: [lineItem(), lineItem({ sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2" })],
      preferences: [{ ...slotPreference("slot_0900", bookableDate()), lineItemRefs: ["l9", "l1", "l1"] }],
    }),
    pointers: ["/lineItems/1/ref", "/preferences/0/lineItemRefs/0", "/preferences/0/lineItemRefs/2"],
  },
  { what: "500 line items", body: order("ins_sync_ok", { lineItems: items(500) }), pointers: ["/lineItems"] },
  { what: "150 line items", body: order("ins_sync_ok", { lineItems: items(150) }), pointers: ["/lineItems"] },
  {
    what: "a blocked user",
    body: order("ins_sync_ok", { user: { userId: "usr_blocked", cityId: "BLR" } }),
    pointers: ["/user/userId"],
  },
  {
    what: "an unknown city",
    body: order("ins_sync_ok", { user: { userId: "usr_42", cityId: "XXX" } }),
    pointers: ["/user/cityId"],
  },
  { what: "no line items", body: order("ins_sync_ok", { lineItems: [] }), pointers: ["/lineItems"] },
];

/** One change somewhere in the documented body: a member gone, doubled, or of another kind. */
const mutation = fc.record({
  at: fc.nat(),
  how: fc.oneof(
    fc.constant({ kind: "remove" as const }),
    fc.constant({ kind: "double" as const }),
    fc.record({
      kind: fc.constant("replace" as const),
      value: fc.oneof(fc.jsonValue({ maxDepth: 2 }), oddText(), fc.integer(), fc.double()),
    }),
  ),
});

function oddText() {
  return fc.oneof(
    fc.constantFrom(
      "",
      "\0",
      "\ud800",
      "__proto__",
      "constructor",
      "NOW",
      "LATER",
      "PRD-FILTER",
      "plus_6m",
      "ALLFREE",
      "l1",
      "TYO",
      "9".repeat(400),
    ),
    fc.string({ unit: "binary", maxLength: 80 }),
  );
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Changes the body in place. What a payment instrument does is the provider's business, so that stays. */
function mutate(body: Json, { at, how }: { at: number; how: { kind: string; value?: unknown } }): void {
  const places: { parent: Json[] | { [key: string]: Json }; key: string }[] = [];
  const visit = (value: Json): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      if (key === "instrumentId" || key === "cartId") continue;
      places.push({ parent: value, key });
      visit((value as { [key: string]: Json })[key] ?? null);
    }
  };
  visit(body);
  const place = places[at % places.length];
  if (place === undefined) return;
  const parent = place.parent as { [key: string]: Json };
  if (how.kind === "replace") parent[place.key] = (how.value ?? null) as Json;
  else if (Array.isArray(place.parent) && how.kind === "double") place.parent.push(place.parent[Number(place.key)] ?? null);
  else if (how.kind === "double") parent[`${place.key}2`] = parent[place.key] ?? null;
  else delete parent[place.key];
}

/** The checkout was claimed, so it may have rows: it ran, or was undone. */
function wasClaimed(answer: Answer): boolean {
  return answer.status < 300 || (answer.status !== 400 && answer.problem().executionContextId !== undefined);
}

onEveryBackend("bad input", (stage, kind) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage());
  });
  afterAll(() => service.stop());

  const withoutRows = async (send: () => Promise<Answer>): Promise<Answer> => {
    const before = await rowCounts(stage().database);
    const answer = await send();
    expect(await rowCounts(stage().database)).toEqual(before);
    return answer;
  };

  describe("leaves no row", () => {
    test.each(WRONG)("$what", async ({ body, status = 400, pointers = [] }) => {
      const answer = await withoutRows(() => service.initiate(body));
      const problem = answer.problem();
      expect(problem.status).toBe(status);
      expect((problem.violations ?? []).map(({ pointer }) => pointer).sort()).toEqual([...pointers].sort());
      expect(answer.text).not.toMatch(/node_modules|at \w+ \(|\.ts:\d/);
    });

    test("every mistake of the headers and the body in one answer", async () => {
      const wrong = { ...order(), lineItems: [lineItem({ quantity: 0 })] };
      const answer = await withoutRows(() => service.initiate(wrong, { key: "" }));
      const pointers = answer.problem().violations?.map(({ pointer }) => pointer) ?? [];
      expect(pointers).toHaveLength(2);
      expect(pointers).toContain("/lineItems/0/quantity");
    });
  });

  test("an older version of a cart than one seen is refused before any effect", async () => {
    const body = order();
    await service.initiate(body);
    const stale = await withoutRows(() => service.initiate({ ...body, cart: { ...body.cart, version: 1 } }));
    expect(stale.status).toBe(409);
  });

  test(`${RUNS[kind]} bodies with up to three changes: never a 5xx, and rows only for those that were claimed`, async () => {
    let claimed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const body = structuredClone(order()) as unknown as Json;
        for (const one of mutations) mutate(body, one);
        const before = await rowCounts(stage().database);
        const answer = await service.initiate(body as unknown as CheckoutRequest);
        if (answer.status >= 500) throw new Error(`${answer.status}: ${answer.text}`);
        if (wasClaimed(answer)) claimed++;
        else expect(await rowCounts(stage().database)).toEqual(before);
      }),
      { numRuns: RUNS[kind] },
    );
    // Blind if nothing got past the edge, or everything did. In sixty bodies perhaps none does.
    if (kind === "postgres") expect(claimed).toBeGreaterThan(0);
    expect(claimed).toBeLessThan(RUNS[kind]);
  });
});
