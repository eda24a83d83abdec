import { describe, expect, it } from "vitest";
import { BODY_BYTES_MAX } from "../../server/request-bytes.ts";
import { exampleRequest, problemOf, setup } from "./setup.ts";

/** The example as text, with one piece of it replaced. */
function textWith(piece: string, replacement: string): string {
  const text = JSON.stringify(exampleRequest());
  if (!text.includes(piece)) throw new Error(`The example has no ${piece}`);
  return text.replace(piece, replacement);
}

async function refusal(body: Parameters<ReturnType<typeof setup>["initiate"]>[0], headers: Record<string, string> = {}) {
  const { initiate, orchestrator } = setup();
  const problem = await problemOf(await initiate(body, headers));
  expect(orchestrator.initiated).toHaveLength(0);
  return { ...problem, found: (problem.violations ?? []).map(({ pointer, code }) => `${code} ${pointer}`.trim()) };
}

function streamOf(size: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536).fill(0x20));
      if (sent >= size) controller.close();
    },
  });
}

describe("a body that is refused before it is parsed", () => {
  it.each(["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "application/jsonp"])(
    "has the media type %s",
    async (type) => {
      expect(await refusal("{}", { "Content-Type": type })).toMatchObject({ status: 415, code: "UNSUPPORTED_MEDIA_TYPE" });
    },
  );

  it("is compressed", async () => {
    expect(await refusal("{}", { "Content-Encoding": "gzip" })).toMatchObject({ status: 415 });
  });

  it("says that it is too large", async () => {
    expect(await refusal("{}", { "Content-Length": String(BODY_BYTES_MAX + 1) })).toMatchObject({ status: 413 });
  });

  it("is too large, whatever it says", async () => {
    const huge = JSON.stringify({ ...exampleRequest(), pad: "x".repeat(1_000_000) });
    expect(await refusal(huge, { "Content-Length": "10" })).toMatchObject({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    expect(await refusal(streamOf(10_000_000))).toMatchObject({ status: 413 });
  });

  it.each([
    ["arrays", "[".repeat(100_000)],
    ["objects", '{"a":'.repeat(40_000)],
    ["one level too many", textWith('"slot_0900"', "[".repeat(30) + "]".repeat(30))],
  ])("nests too deep: %s", async (_name, body) => {
    expect(await refusal(body)).toMatchObject({ status: 400, found: ["TOO_DEEP"] });
  });

  it("is not UTF-8", async () => {
    expect(await refusal(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]))).toMatchObject({ status: 400, found: ["INVALID_UTF8"] });
  });

  it.each(["", "   ", "{", "{'a':1}", '{"a":1,}', "undefined", '{"a":"\n"}', '"\\ud8', "[1,2", '{"a\\x":1}', "}", "nul"])(
    "is malformed: %j",
    async (body) => {
      expect(await refusal(body)).toMatchObject({ status: 400, found: ["MALFORMED_JSON"] });
    },
  );

  it("does not quote a malformed body back", async () => {
    const problem = await refusal('{"name": "Asha Rao" "city"}');
    expect(JSON.stringify(problem)).not.toContain("Asha");
    expect(problem.violations?.[0]?.message).toMatch(/character \d+/);
  });
});

describe("text that a database can't store", () => {
  it.each([
    ["an escaped NUL", textWith("slot_0900", "slot\\u0000"), "NUL_CHARACTER /preferences/0/payload/slotId"],
    ["a lone high surrogate", textWith("slot_0900", "\\ud800"), "LONE_SURROGATE /preferences/0/payload/slotId"],
    ["a lone low surrogate", textWith("slot_0900", "a\\udc00b"), "LONE_SURROGATE /preferences/0/payload/slotId"],
    ["a NUL in a key", textWith('"slotId"', '"slot\\u0000"'), "NUL_CHARACTER /preferences/0/payload/slot\ufffd"],
    ["a lone surrogate in a key", textWith('"slotId"', '"\\udfff"'), "LONE_SURROGATE /preferences/0/payload/\ufffd"],
    ["a number beyond all numbers", textWith('"slot_0900"', "1e999"), "OUT_OF_RANGE /preferences/0/payload/slotId"],
  ])("is %s", async (_name, body, found) => {
    expect(await refusal(body)).toMatchObject({ status: 400, found: [found] });
  });

  it("is not a whole surrogate pair", async () => {
    const { initiate } = setup();
    expect((await initiate(textWith("slot_0900", "\\ud83d\\ude00 😀"))).status).toBe(200);
  });
});

describe("keys that parsers disagree about", () => {
  it("are duplicates, however escaped, at every depth", async () => {
    expect((await refusal(textWith('"version":7', '"version":7,"version":8'))).found).toEqual(["DUPLICATE_KEY /cart/version"]);
    expect((await refusal(textWith('"date":', '"slot\\u0049d":"x","date":'))).found).toEqual([
      "DUPLICATE_KEY /preferences/0/payload/slotId",
    ]);
    expect((await refusal(textWith('"sellerId":"slr_2"', '"ref":"l9","sellerId":"slr_2"'))).found).toEqual([
      "DUPLICATE_KEY /lineItems/1/ref",
    ]);
  });

  it("are __proto__, and pollute nothing", async () => {
    const { found } = await refusal(textWith('"slotId"', '"__proto__":{"polluted":1},"slotId"'));
    expect(found).toEqual(["UNKNOWN_FIELD /preferences/0/payload/__proto__"]);
    expect((await refusal(textWith('"cartId"', '"__proto__":{"polluted":1},"cartId"'))).found).toEqual([
      "UNKNOWN_FIELD /cart/__proto__",
    ]);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});

describe("a request that breaks the schema", () => {
  it.each(["null", "[]", '"text"', "7", "true"])("is %s instead of an object", async (body) => {
    expect(await refusal(body)).toMatchObject({ status: 400, found: ["WRONG_TYPE"] });
  });

  it("names every missing field", async () => {
    expect((await refusal("{}")).found).toEqual(["MISSING /cart", "MISSING /user", "MISSING /lineItems", "MISSING /payment"]);
  });

  it("names every mistake at once, with pointers, and repeats no value", async () => {
    const problem = await refusal({
      ...exampleRequest(),
      cart: { cartId: "cart 1", version: "7" },
      user: { userId: "usr_42", cityId: null, name: "Asha Rao" },
      lineItems: [{ ref: "l1", sku: "S", quantity: 1.5, sellerId: "slr_1", paymentTiming: "SOON", unitPrice: 1 }],
      payment: { method: "CARD", instrumentId: "4111111111111111", returnUrl: "javascript:alert(1)" },
    });
    expect(problem.found.sort()).toEqual([
      "CARD_NUMBER /payment/instrumentId",
      "INVALID_FORMAT /cart/cartId",
      "INVALID_URL /payment/returnUrl",
      "NOT_ALLOWED /lineItems/0/paymentTiming",
      "UNKNOWN_FIELD /lineItems/0/unitPrice",
      "UNKNOWN_FIELD /user/name",
      "WRONG_TYPE /cart/version",
      "WRONG_TYPE /lineItems/0/quantity",
      "WRONG_TYPE /user/cityId",
    ]);
    expect(problem).toMatchObject({ code: "VALIDATION_FAILED", class: "VALIDATION", retryScheduled: false, rollback: "NONE" });
    expect(JSON.stringify(problem)).not.toMatch(/Asha|4111|alert/);
  });

  const item = exampleRequest().lineItems[0];
  it.each([
    ["no line items", { lineItems: [] }, "TOO_SHORT /lineItems"],
    ["500 line items", { lineItems: Array.from({ length: 500 }, () => item) }, "TOO_MANY /lineItems"],
    ["too many opt-ins", { optIns: Array.from({ length: 21 }, () => ({})) }, "TOO_MANY /optIns"],
    ["too many coupons", { couponCodes: Array.from({ length: 11 }, () => "C") }, "TOO_MANY /couponCodes"],
    ["quantity 0", { lineItems: [{ ...item, quantity: 0 }] }, "TOO_SMALL /lineItems/0/quantity"],
    ["quantity 10^9", { lineItems: [{ ...item, quantity: 1e9 }] }, "TOO_LARGE /lineItems/0/quantity"],
    ["a long id", { lineItems: [{ ...item, sku: "S".repeat(65) }] }, "INVALID_FORMAT /lineItems/0/sku"],
    ["an id with markup", { cart: { cartId: "<b>", version: 1 } }, "INVALID_FORMAT /cart/cartId"],
    ["a version past the database's integers", { cart: { cartId: "c", version: 2 ** 31 } }, "TOO_LARGE /cart/version"],
    ["a negative version", { cart: { cartId: "c", version: -1 } }, "TOO_SMALL /cart/version"],
    ["a fraction as amount", { expectedTotal: { amount: 0.5, currency: "INR" } }, "WRONG_TYPE /expectedTotal/amount"],
    ["a lower-case currency", { expectedTotal: { amount: 1, currency: "inr" } }, "INVALID_FORMAT /expectedTotal/currency"],
    [
      "an unknown preference type",
      { preferences: [{ ref: "p", type: "X", lineItemRefs: ["l1"], payload: {} }] },
      "NOT_ALLOWED /preferences/0/type",
    ],
    [
      "a card number in a payload",
      { preferences: [{ ref: "p", type: "GIFT", lineItemRefs: ["l1"], payload: { text: "pay 5555-5555 5555 4444!" } }] },
      "CARD_NUMBER /preferences/0/payload",
    ],
    [
      "a huge payload",
      { preferences: [{ ref: "p", type: "GIFT", lineItemRefs: ["l1"], payload: { text: "x".repeat(9000) } }] },
      "TOO_LONG /preferences/0/payload",
    ],
    [
      "a URL with a password",
      { payment: { method: "UPI", instrumentId: "i", returnUrl: "https://a:b@c.example" } },
      "INVALID_URL /payment/returnUrl",
    ],
    ["a key with a slash and a tilde", { "a/b~c": 1 }, "UNKNOWN_FIELD /a~1b~0c"],
  ])("has %s", async (_name, change, found) => {
    expect(await refusal({ ...exampleRequest(), ...change })).toMatchObject({ status: 400, found: [found] });
  });

  it("takes digits that are no card number", async () => {
    const { initiate } = setup();
    const payment = { method: "UPI", instrumentId: "4111111111111112" };
    expect((await initiate({ ...exampleRequest(), payment })).status).toBe(200);
  });

  it("lists 200 mistakes at most, and cuts long keys", async () => {
    const unknown = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 1]));
    const problem = await refusal({ ...exampleRequest(), ...unknown });
    expect(problem.violations).toHaveLength(200);
    expect(problem.detail).toContain("The first 200 are listed");
    const [violation] = (await refusal({ ...exampleRequest(), ["k".repeat(5000)]: 1 })).violations ?? [];
    expect(violation?.pointer.length).toBeLessThan(110);
  });

  it("takes only what is required", async () => {
    const { initiate } = setup();
    const { cart, user, lineItems, payment } = exampleRequest();
    expect((await initiate({ cart, user, lineItems, payment: { method: payment.method, instrumentId: "i" } })).status).toBe(200);
  });
});
