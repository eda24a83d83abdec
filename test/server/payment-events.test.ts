import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import type { CounterName } from "../../runtime/telemetry.ts";
import { BODY_BYTES_MAX } from "../../server/request-bytes.ts";
import { signedDelivery } from "../../server/webhook-signature.ts";
import { problemOf, setup, WEBHOOK_SECRET } from "./setup.ts";
import { deliver, PAYMENT_EVENTS, signatureOf, successEvent } from "./signed.ts";

type Bundle = ReturnType<typeof setup>;

/** What came of it, beside the answer. */
function traces({ orchestrator, unmatched, booked, counters, warnings }: Bundle) {
  const count = (name: string) => counters.get(`payment_events_${name}` as CounterName);
  return {
    received: orchestrator.received.length,
    unmatched: unmatched.length,
    booked: booked.length,
    warnings: warnings.length,
    contradictions: count("contradictory"),
    counts: ["stored", "duplicate", "unmatched", "ignored", "refused"].map(count),
  };
}

const OTHER_SECRET = `whsec_${Buffer.alloc(32).toString("base64")}`;
const NOTHING = { received: 0, unmatched: 0, booked: 0, warnings: 0, contradictions: 0 };

describe("a signed payment event", () => {
  it("is booked at the provider, then kept with the fields that are known, and answered STORED", async () => {
    const bundle = setup();
    const order: string[] = [];
    bundle.orchestrator.onReceive = async () => {
      order.push(`kept after ${bundle.booked.length} bookings`);
      return { isNew: true, isContradiction: false, contextId: "ctx_1" };
    };
    const response = await deliver(bundle, successEvent());
    expect([response.status, await response.json()]).toEqual([200, { status: "STORED" }]);
    const { type, timestamp, data } = successEvent();
    expect(bundle.orchestrator.received).toEqual([{ source: "psp", event: { type, data } }]);
    expect(bundle.booked).toEqual([{ type, timestamp, data }]);
    expect(order).toEqual(["kept after 1 bookings"]);
    expect(traces(bundle).counts).toEqual([1, 0, 0, 0, 0]);
  });

  it("is answered DUPLICATE when it was kept before", async () => {
    const bundle = setup();
    bundle.orchestrator.onReceive = async () => ({ isNew: false, isContradiction: false, contextId: "ctx_1" });
    const response = await deliver(bundle, successEvent());
    expect([response.status, await response.json()]).toEqual([200, { status: "DUPLICATE" }]);
    expect(traces(bundle)).toMatchObject({ warnings: 0, contradictions: 0, counts: [0, 1, 0, 0, 0] });
  });

  it("is answered DUPLICATE with another content too, which is counted and logged by its ids alone", async () => {
    const bundle = setup();
    bundle.orchestrator.onReceive = async () => ({ isNew: false, isContradiction: true, contextId: "ctx_1" });
    const response = await deliver(bundle, successEvent());
    expect([response.status, await response.json()]).toEqual([200, { status: "DUPLICATE" }]);
    expect(traces(bundle)).toMatchObject({ contradictions: 1, counts: [0, 1, 0, 0, 0] });
    expect(bundle.warnings).toEqual([{ source: "psp", eventId: "evt_1", pcrId: "pcr_1", executionContextId: "ctx_1" }]);
  });

  it("is not booked when another one is kept under its id, nor when it is kept itself", async () => {
    const bundle = setup();
    await deliver(bundle, successEvent({ code: "insufficient_funds" }, { type: "payment_collection_requirement_failed" }));
    await deliver(bundle, successEvent());
    expect(traces(bundle)).toMatchObject({ received: 2, booked: 0 });
    await deliver(bundle, successEvent({ eventId: "evt_2" }));
    for (const pspReference of ["psr_1", "psr_2"]) await deliver(bundle, successEvent({ eventId: "evt_2", pspReference }));
    expect(bundle.booked.map(({ data }) => data)).toEqual([successEvent({ eventId: "evt_2" }).data]);
  });

  it("is booked again when it was booked and could not be kept", async () => {
    const bundle = setup();
    const keep = bundle.orchestrator.onReceive;
    bundle.orchestrator.onReceive = () => Promise.reject(new TransientError("BUSY", "Later."));
    await deliver(bundle, successEvent());
    bundle.orchestrator.onReceive = keep;
    await deliver(bundle, successEvent());
    expect(traces(bundle)).toMatchObject({ received: 1, booked: 2 });
  });

  it.each([
    ["payment_collection_requirement_failed", { code: "insufficient_funds" }],
    ["payment_collection_requirement_expired", {}],
    ["payment_refund_failed", { code: "account_closed", providerRefundId: "re_1" }],
  ])("%s is kept, and books no capture", async (type, data) => {
    const bundle = setup();
    expect((await deliver(bundle, successEvent(data, { type }))).status).toBe(200);
    expect(bundle.orchestrator.received).toEqual([{ source: "psp", event: { type, data: successEvent(data).data } }]);
    expect(bundle.booked).toEqual([]);
  });

  it("loses what is not known on the way in", async () => {
    const bundle = setup();
    const personal = { payerName: "Asha Rao", code: "not of a success", nested: { email: "asha@example.org" } };
    expect((await deliver(bundle, successEvent(personal, { apiVersion: 3 }))).status).toBe(200);
    expect(bundle.orchestrator.received[0]?.event.data).toEqual(successEvent().data);
    expect(bundle.booked[0]?.data).toEqual(successEvent().data);
  });

  it.each([[{ attemptId: undefined }], [{ attemptId: null }]])("may name no attempt: %j", async (data) => {
    const bundle = setup();
    await deliver(bundle, successEvent(data));
    expect(Object.keys(bundle.orchestrator.received[0]?.event.data ?? {})).not.toContain("attemptId");
    expect(bundle.orchestrator.received).toHaveLength(1);
  });

  it("of nothing is kept, and there is nothing to book", async () => {
    const bundle = setup();
    await deliver(bundle, successEvent({ amount: 0 }));
    expect(traces(bundle)).toMatchObject({ received: 1, booked: 0 });
  });

  it.each([[{ pcrId: undefined }], [{ pcrId: null }]])("without our reference is kept aside: %j", async (data) => {
    const bundle = setup();
    const response = await deliver(bundle, successEvent(data));
    expect([response.status, await response.json()]).toEqual([200, { status: "UNMATCHED" }]);
    const { pcrId: _, ...known } = successEvent().data;
    expect(bundle.unmatched).toEqual([{ type: "payment_collection_requirement_success", data: known }]);
    expect(traces(bundle)).toMatchObject({ received: 0, booked: 0, counts: [0, 0, 1, 0, 0] });
  });

  it("without our reference is told apart as well when it comes again with another content", async () => {
    const bundle = setup();
    const nameless = (amount: number) => deliver(bundle, successEvent({ pcrId: null, amount }));
    await nameless(5);
    await nameless(5);
    expect(traces(bundle)).toMatchObject({ warnings: 0, contradictions: 0 });
    const response = await nameless(6);
    expect([response.status, await response.json()]).toEqual([200, { status: "UNMATCHED" }]);
    expect(traces(bundle)).toMatchObject({ contradictions: 1, counts: [0, 0, 3, 0, 0] });
    expect(bundle.warnings).toEqual([{ source: "psp", eventId: "evt_1", pcrId: null, executionContextId: null }]);
  });

  it("of an unknown type is ignored, whatever it holds", async () => {
    const bundle = setup();
    const response = await deliver(bundle, { type: "customer.created", data: "anything" });
    expect([response.status, await response.json()]).toEqual([200, { status: "IGNORED" }]);
    expect(traces(bundle)).toMatchObject({ ...NOTHING, counts: [0, 0, 0, 1, 0] });
  });

  it("goes through the door without HTTP in the same way", async () => {
    const bundle = setup();
    const answer = await bundle.paymentDoor.receive(signedDelivery(WEBHOOK_SECRET, successEvent()));
    expect(answer).toEqual({ kind: "admitted", status: "STORED" });
    expect(traces(bundle)).toMatchObject({ received: 1, booked: 1 });
  });

  it("is taken from any machine without an API key, also while the node drains", async () => {
    const apiKeys = [{ name: "shop", key: "shop-key-0123456789" }];
    const bundle = setup({ apiKeys, peerAddress: () => "203.0.113.9" });
    bundle.draining.abort();
    bundle.orchestrator.accepting = false;
    const response = await deliver(bundle, successEvent());
    expect([response.status, response.headers.get("connection")]).toEqual([200, "close"]);
    expect(bundle.orchestrator.received).toHaveLength(1);
  });

  it.each([
    [new TransientError("BUSY", "Later."), 503],
    [Object.assign(new Error("secret host"), { code: "ECONNREFUSED" }), 503],
    [new Error("bug"), 500],
  ])("is asked for again when it could not be kept: %s", async (error, status) => {
    const bundle = setup();
    bundle.orchestrator.onReceive = () => Promise.reject(error);
    expect(await problemOf(await deliver(bundle, successEvent()))).toMatchObject({ status });
    expect(traces(bundle).counts).toEqual([0, 0, 0, 0, 0]);
  });

  it("is refused with 503 where there is no secret to check it with", async () => {
    const bundle = setup({ paymentDoor: null });
    const response = await deliver(bundle, successEvent());
    expect(response.headers.has("retry-after")).toBe(true);
    expect(await problemOf(response)).toMatchObject({ status: 503, code: "WEBHOOK_NOT_CONFIGURED", class: "TRANSIENT" });
    expect(traces(bundle)).toMatchObject(NOTHING);
  });
});

describe("the signature", () => {
  const body = JSON.stringify(successEvent());
  const signed = () => signatureOf(body);
  /** The last of several, as while a secret is rotated. */
  const among = (headers: ReturnType<typeof signatureOf>) => {
    const old = signatureOf(body, { secret: OTHER_SECRET })["webhook-signature"];
    return { ...headers, "webhook-signature": `${old} v1a,other ${headers["webhook-signature"]}` };
  };

  async function expectRefused(sent: string | Uint8Array<ArrayBuffer>, headers: Readonly<Record<string, string>>) {
    const bundle = setup();
    const response = await bundle.app.request(PAYMENT_EVENTS, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: sent,
    });
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ status: 401, code: "UNAUTHENTICATED", class: "VALIDATION" });
    expect(traces(bundle)).toEqual({ ...NOTHING, counts: [0, 0, 0, 0, 1] });
    return problem.detail;
  }

  /** Whoever tries to forge one learns the same from each refusal. */
  async function expectUnsigned(...delivery: Parameters<typeof expectRefused>) {
    expect(await expectRefused(...delivery)).toMatch(/^Sign the raw body by the Standard Webhooks scheme/);
  }

  it.each(["webhook-id", "webhook-timestamp", "webhook-signature"] as const)("is none without %s", async (name) => {
    const { [name]: _, ...others } = signed();
    await expectUnsigned(body, others);
    await expectUnsigned(body, { ...others, [name]: "" });
  });

  it.each([
    ["of another secret", () => signatureOf(body, { secret: OTHER_SECRET })],
    ["of another id", () => ({ ...signed(), "webhook-id": "msg_2" })],
    ["of another time", () => ({ ...signed(), "webhook-timestamp": String(Math.floor(Date.now() / 1000) - 7) })],
    ["of another body", () => signatureOf(`${body} `)],
    ["of another secret, and old", () => signatureOf(body, { ageSeconds: 302, secret: OTHER_SECRET })],
    ["of another body, and old", () => signatureOf(`${body} `, { ageSeconds: 302 })],
    ["old, and of another id", () => ({ ...signatureOf(body, { ageSeconds: 302 }), "webhook-id": "msg_2" })],
    ["without an id", () => signatureOf(body, { id: "" })],
    [
      "of a version that is not checked",
      () => ({ ...signed(), "webhook-signature": signed()["webhook-signature"].replace("v1", "v1a") }),
    ],
    ["without its version", () => ({ ...signed(), "webhook-signature": signed()["webhook-signature"].slice(3) })],
    ["cut short", () => ({ ...signed(), "webhook-signature": signed()["webhook-signature"].slice(0, -1) })],
    ["nonsense", () => ({ ...signed(), "webhook-signature": "v1 v1, ,v1 ,,, v1,%" })],
    ["with a time that is no number", () => ({ ...signed(), "webhook-timestamp": "now" })],
    ["with a time past all time", () => ({ ...signed(), "webhook-timestamp": "9".repeat(400) })],
  ])("is refused: %s", async (_name, headers) => {
    await expectUnsigned(body, headers());
  });

  it.each([
    ["older than five minutes", () => signatureOf(body, { ageSeconds: 302 })],
    ["from the future", () => signatureOf(body, { ageSeconds: -302 })],
    ["older than that, among others", () => among(signatureOf(body, { ageSeconds: 302 }))],
    ["of the year 1970", () => signatureOf(body, { ageSeconds: Math.floor(Date.now() / 1000) })],
    ["of the last second that is read", () => signatureOf(body, { ageSeconds: Math.floor(Date.now() / 1000) - 999_999_999_999 })],
  ])("that is right but %s is refused for its time, which its sender is told", async (_name, headers) => {
    expect(await expectRefused(body, headers())).toMatch(
      /^The signature is right, but webhook-timestamp is more than five minutes/,
    );
  });

  it("is of the bytes, not of what they mean", async () => {
    const headers = signed();
    await expectUnsigned(JSON.stringify(successEvent(), null, 1), headers);
    await expectUnsigned(body.replace("249900", "249901"), headers);
    await expectUnsigned(`\ufeff${body}`, headers);
    await expectUnsigned(body.slice(0, -1), headers);
    await expectUnsigned("", headers);
  });

  it("is asked for before the body is parsed, whatever it is", async () => {
    for (const nonsense of ["{", "", "[".repeat(100_000), '{"type":"customer.created"}', '{"a":1,"a":2}'])
      await expectUnsigned(nonsense, {});
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) => expectUnsigned(new Uint8Array(bytes), signed())),
    );
  });

  it.each([299, -299, 0])("may be %i seconds old", async (ageSeconds) => {
    expect((await deliver(setup(), body, { ageSeconds })).status).toBe(200);
  });

  it("is one of several while a secret is rotated", async () => {
    const { post } = setup();
    expect((await post(PAYMENT_EVENTS, body, among(signed()))).status).toBe(200);
  });

  it("that we make is by the scheme", () => {
    const at = new Date();
    const { headers, body: bytes } = signedDelivery(WEBHOOK_SECRET, successEvent(), at);
    const ageSeconds = Math.floor(Date.now() / 1000) - Math.floor(at.getTime() / 1000);
    expect(headers).toEqual(signatureOf(Buffer.from(bytes).toString(), { id: "evt_1", ageSeconds }));
  });
});

describe("a signed body that is not valid", () => {
  async function refusal(event: object | string) {
    const bundle = setup();
    const problem = await problemOf(await deliver(bundle, event));
    expect(traces(bundle)).toEqual({ ...NOTHING, counts: [0, 0, 0, 0, 1] });
    return {
      status: problem.status,
      found: (problem.violations ?? []).map(({ pointer, code }) => `${code} ${pointer}`.trim()),
      problem,
    };
  }

  const replaced = (piece: string, by: string) => JSON.stringify(successEvent()).replace(piece, by);

  it.each([
    ["empty", "", "MALFORMED_JSON"],
    ["cut", '{"type":', "MALFORMED_JSON"],
    ["too deep", "[".repeat(40), "TOO_DEEP"],
    [
      "too deep in a member that is not used",
      replaced('"timestamp"', `"x":${"[".repeat(40)}${"]".repeat(40)},"timestamp"`),
      "TOO_DEEP",
    ],
    ["a key twice", replaced('"amount":249900', '"amount":1,"amount":249900'), "DUPLICATE_KEY /data/amount"],
    ["a NUL", replaced("evt_1", "evt\\u0000"), "NUL_CHARACTER /data/eventId"],
    ["a NUL in a member that is not used", replaced('"timestamp"', '"x":"\\u0000","timestamp"'), "NUL_CHARACTER /x"],
    ["half a surrogate pair", replaced("psr_1", "psr\\ud800"), "LONE_SURROGATE /data/pspReference"],
    ["__proto__", replaced('"data":{', '"data":{"__proto__":{"amount":1},'), "UNKNOWN_FIELD /data/__proto__"],
    ["a number past all numbers", replaced("249900", "1e999"), "OUT_OF_RANGE /data/amount"],
  ])("is %s", async (_name, body, found) => {
    expect(await refusal(body)).toMatchObject({ status: 400, found: [found] });
  });

  it("is not UTF-8", async () => {
    const text = JSON.stringify(successEvent({ eventId: "\ufffd" }));
    const [before = "", after = ""] = text.split("\ufffd");
    const bundle = setup();
    const body = Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)]);
    const headers = { "Content-Type": "application/json", ...signatureOf(text) };
    const response = await bundle.app.request(PAYMENT_EVENTS, { method: "POST", headers, body: new Uint8Array(body) });
    expect(await problemOf(response)).toMatchObject({ status: 400, violations: [{ code: "INVALID_UTF8" }] });
    expect(traces(bundle)).toMatchObject(NOTHING);
  });

  it.each(["null", "[]", '"text"', "7", "{}", '{"type":7}', '{"type":null}'])("is %s instead of an event", async (body) => {
    expect((await refusal(body)).status).toBe(400);
  });

  it.each([
    [{ eventId: "" }, "INVALID_FORMAT /data/eventId"],
    [{ eventId: "e".repeat(201) }, "INVALID_FORMAT /data/eventId"],
    [{ eventId: "evt\n1" }, "INVALID_FORMAT /data/eventId"],
    [{ eventId: "évt" }, "INVALID_FORMAT /data/eventId"],
    [{ eventId: 7 }, "WRONG_TYPE /data/eventId"],
    [{ eventId: undefined }, "MISSING /data/eventId"],
    [{ eventId: null }, "WRONG_TYPE /data/eventId"],
    [{ pcrId: "" }, "INVALID_FORMAT /data/pcrId"],
    [{ pcrId: ["pcr_1"] }, "WRONG_TYPE /data/pcrId"],
    [{ attemptId: {} }, "WRONG_TYPE /data/attemptId"],
    [{ attemptId: "" }, "INVALID_FORMAT /data/attemptId"],
    [{ pspReference: undefined }, "MISSING /data/pspReference"],
    [{ amount: undefined }, "MISSING /data/amount"],
    [{ amount: "249900" }, "WRONG_TYPE /data/amount"],
    [{ amount: -1 }, "TOO_SMALL /data/amount"],
    [{ amount: 0.5 }, "WRONG_TYPE /data/amount"],
    [{ amount: 2 ** 53 }, "TOO_LARGE /data/amount"],
    [{ currency: "inr" }, "INVALID_FORMAT /data/currency"],
    [{ currency: "INRR" }, "INVALID_FORMAT /data/currency"],
    [{ occurredAt: "yesterday" }, "INVALID_FORMAT /data/occurredAt"],
    [{ occurredAt: "2027-02-30T10:00:00Z" }, "INVALID_FORMAT /data/occurredAt"],
    [{ occurredAt: "2027-01-08T10:05:00" }, "INVALID_FORMAT /data/occurredAt"],
    [{ occurredAt: 1799402700 }, "WRONG_TYPE /data/occurredAt"],
  ])("has the data %j", async (data, found) => {
    expect(await refusal(successEvent(data))).toMatchObject({ status: 400, found: [found] });
  });

  it.each([
    ["payment_collection_requirement_failed", {}],
    ["payment_refund_failed", { providerRefundId: "re_1" }],
  ])("is %s without a code that is one", async (type, data) => {
    expect((await refusal(successEvent(data, { type }))).found).toEqual(["MISSING /data/code"]);
    expect((await refusal(successEvent({ ...data, code: "Asha's account is closed" }, { type }))).found).toEqual([
      "INVALID_FORMAT /data/code",
    ]);
  });

  it("is a failed refund that doesn't say which", async () => {
    const body = successEvent({ code: "account_closed" }, { type: "payment_refund_failed" });
    expect((await refusal(body)).found).toEqual(["MISSING /data/providerRefundId"]);
  });

  it("has no data, or no time", async () => {
    expect((await refusal(successEvent({}, { data: undefined }))).found).toEqual(["MISSING /data"]);
    expect((await refusal(successEvent({}, { timestamp: undefined }))).found).toEqual(["MISSING /timestamp"]);
  });

  it("is not quoted back", async () => {
    const { problem } = await refusal(successEvent({ eventId: "Asha Räo", currency: "Asha" }));
    expect(JSON.stringify(problem)).not.toContain("Asha");
  });

  it("is never a 5xx, and is kept exactly when it is valid", async () => {
    const bundle = setup();
    const member = fc.constantFrom(...Object.keys(successEvent().data));
    const event = fc.oneof(
      fc.tuple(member, fc.jsonValue()).map(([key, value]) => JSON.stringify(successEvent({ [key]: value }))),
      fc.json({ maxDepth: 40 }),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(event, async (body) => {
        const before = traces(bundle);
        const response = await deliver(bundle, body);
        const after = traces(bundle);
        expect([200, 400]).toContain(response.status);
        const keptNow = after.received + after.unmatched - before.received - before.unmatched;
        const isKept = response.status === 200 && ((await response.json()) as { status: string }).status !== "IGNORED";
        expect(keptNow).toBe(isKept ? 1 : 0);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a body that is refused before its signature is looked at", () => {
  it("is too large", async () => {
    const bundle = setup();
    const body = " ".repeat(BODY_BYTES_MAX + 1);
    expect(await problemOf(await deliver(bundle, body))).toMatchObject({ status: 413 });
    expect(traces(bundle)).toMatchObject(NOTHING);
  });

  it("is not JSON by its own word", async () => {
    const bundle = setup();
    const body = JSON.stringify(successEvent());
    const response = await bundle.post(PAYMENT_EVENTS, body, { ...signatureOf(body), "Content-Type": "text/plain" });
    expect(await problemOf(response)).toMatchObject({ status: 415 });
    expect(traces(bundle)).toMatchObject(NOTHING);
  });
});

it("takes our own long ids, whatever digits they have by chance", async () => {
  const bundle = setup();
  // 4111111111111111 passes Luhn's check.
  const data = { eventId: "evt_0194111111111111111a", pspReference: "psr_a4111111111111111b", attemptId: "att_4111111111111111" };
  expect((await deliver(bundle, successEvent(data))).status).toBe(200);
});

it("one that waited in a stream is judged by when it came there", async () => {
  const { paymentDoor } = setup();
  const body = JSON.stringify(successEvent());
  const [now, hourMs] = [Date.now(), 3_600_000];
  const delivery = { headers: signatureOf(body, { ageSeconds: 3_600 }), body: Buffer.from(body) };
  expect(await paymentDoor.receive({ ...delivery, arrivedAt: now })).toMatchObject({ kind: "refused" });
  expect(await paymentDoor.receive(delivery)).toMatchObject({ kind: "refused" });
  expect(await paymentDoor.receive({ ...delivery, arrivedAt: now - hourMs })).toMatchObject({ kind: "admitted" });
});
