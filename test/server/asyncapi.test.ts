import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
import { describe, expect, it, test } from "vitest";
import { OUTBOUND_EVENT_TYPES } from "../../machines/events.ts";
import { ASYNCAPI_PAGE, asyncApiPage } from "../../scripts/asyncapi-page.ts";
import { asyncApiDocument } from "../../server/asyncapi.ts";
import { exampleOf } from "../../server/outbound-event-schemas.ts";
import { PAYMENT_EVENT_EXAMPLES } from "../../server/payment-event-examples.ts";
import { paymentEventSchema } from "../../server/payment-event-schema.ts";
import { misfitOf } from "../support/misfit.ts";
import { problemOf, setup } from "./setup.ts";

interface Message {
  readonly examples: readonly { readonly headers: Record<string, unknown>; readonly payload: Record<string, unknown> }[];
}

interface Described {
  readonly channels: Readonly<Record<string, { readonly address: string; readonly messages: Record<string, unknown> }>>;
  readonly components: { readonly messages: Readonly<Record<string, Message>>; readonly schemas: object };
}

const PAYMENT_TYPES = paymentEventSchema.options.map(({ shape }) => shape.type.value);
const parser = new Parser();

function described(): Described {
  return JSON.parse(JSON.stringify(asyncApiDocument("0.0.0"))) as Described;
}

/** What the parser has against the examples. Of AsyncAPI 3 it checks none, so it gets the same messages as of 2.6. */
async function faultsOfExamples({ components }: Described): Promise<readonly string[]> {
  const older = { asyncapi: "2.6.0", info: { title: "checkoutd", version: "0.0.0" }, channels: {}, components };
  const diagnostics = await parser.validate(JSON.stringify(older));
  return diagnostics.filter(({ code }) => code === "asyncapi2-message-examples").map(({ path }) => path.join("."));
}

describe("/asyncapi.json", () => {
  it("is served to everybody, and parses: nothing is said against it but that 3.1 is newer", async () => {
    const { app } = setup({ apiKeys: [], peerAddress: () => null });
    const response = await app.request("/asyncapi.json");
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
    const { document, diagnostics } = await parser.parse(await response.text());
    expect(diagnostics.map(({ code }) => code)).toEqual(["asyncapi-latest-version"]);
    expect([document?.version(), document?.info().version()]).toEqual(["3.0.0", "0.0.0"]);
    expect(document?.operations().filterBySend()).toHaveLength(OUTBOUND_EVENT_TYPES.length + 1);
    expect(document?.operations().filterByReceive()).toHaveLength(PAYMENT_TYPES.length);
  });

  it("takes only GET", async () => {
    const problem = await problemOf(await setup().app.request("/asyncapi.json", { method: "POST" }));
    expect(problem).toMatchObject({ status: 405, code: "METHOD_NOT_ALLOWED" });
  });

  it("stands in the docs as it is made", async () => {
    expect(readFileSync(ASYNCAPI_PAGE, "utf8"), `Run \`npm run asyncapi\`.`).toBe(await asyncApiPage());
  });
});

describe("its channels", () => {
  const { channels, components } = described();

  test.each(OUTBOUND_EVENT_TYPES)("have %s, live and replayed, with an example", (type) => {
    expect(channels[type]?.address).toBe(`checkout.v1.${type}.{executionContextId}`);
    expect(channels[type]?.messages).toEqual({ [type]: { $ref: `#/components/messages/${type}` } });
    expect(channels["replay"]?.messages).toMatchObject(channels[type]?.messages ?? {});
    expect(components.messages[type]?.examples.map(({ payload }) => payload)).toEqual([exampleOf(type)]);
    expect(misfitOf(exampleOf(type))).toBeNull();
  });

  test.each(PAYMENT_TYPES)("have %s with its signature and an example that the edge takes", (type) => {
    expect(channels[type]?.address).toBe(`payments.v1.${type}.{pcrId}`);
    const [example] = components.messages[type]?.examples ?? [];
    expect(example?.payload).toEqual(PAYMENT_EVENT_EXAMPLES[type]);
    expect(paymentEventSchema.parse(example?.payload)).toEqual(example?.payload);
    expect(Object.keys(example?.headers ?? {})).toEqual(["webhook-id", "webhook-timestamp", "webhook-signature"]);
  });

  it("are these, and the replay's", () => {
    expect(Object.keys(channels)).toEqual([...OUTBOUND_EVENT_TYPES, "replay", ...PAYMENT_TYPES]);
    expect(channels["replay"]?.address).toBe("checkout.replay.v1.{type}.{executionContextId}");
  });
});

describe("its examples", () => {
  it("are what its schemas say, by the parser's own check", async () => {
    expect(await faultsOfExamples(described())).toEqual([]);
  });

  it("may say more, because schemas grow", async () => {
    const document = described();
    const [example] = document.components.messages["payment_refunded"]?.examples ?? [];
    Object.assign(example?.payload["data"] ?? {}, { toCome: 1 });
    expect(await faultsOfExamples(document)).toEqual([]);
  });

  const broken: readonly (readonly [type: string, what: string, change: (payload: Record<string, unknown>) => void])[] = [
    ["payment_refunded", "misses a field", ({ data }) => delete (data as { refundId?: string }).refundId],
    ["checkout_completed", "has null where none may be", ({ data }) => Object.assign(data as object, { checkoutOrderId: null })],
    ["line_items_updated", "misses its number", (payload) => delete payload["seq"]],
    ["checkout_initiated", "has another type", (payload) => Object.assign(payload, { type: "checkout.v1.note" })],
    ["checkout_rolled_back", "has a time that is none", (payload) => Object.assign(payload, { time: "yesterday" })],
    ["payment_refund_failed", "misses its code", ({ data }) => delete (data as { code?: string }).code],
  ];

  test.each(broken)("of %s would be refused when it %s", async (type, _, change) => {
    const document = described();
    const [example] = document.components.messages[type]?.examples ?? [];
    if (example !== undefined) change(example.payload);
    const faults = await faultsOfExamples(document);
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.every((path) => path.startsWith(`components.messages.${type}.examples.0.payload`))).toBe(true);
  });
});
