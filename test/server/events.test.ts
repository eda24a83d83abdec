import { describe, expect, it } from "vitest";
import type { PublishedEvent } from "../../persistence/store.ts";
import { eventsBodySchema } from "../../server/response-schema.ts";
import { problemOf, setup, setupWithCheckout, T0 } from "./setup.ts";

const EVENTS = "/orchestration/checkout/ctx_1/events";

function published(eventSeq: number, rest: Partial<PublishedEvent> = {}): PublishedEvent {
  return {
    contextId: "ctx_1",
    eventSeq,
    typeSeq: 1,
    type: "checkout_initiated",
    data: { cartId: "cart_1" },
    committedAt: T0,
    acknowledgedAt: T0 + 5,
    tries: 1,
    retryAt: null,
    parkedReason: null,
    traceparent: null,
    ...rest,
  };
}

describe("the events of a checkout", () => {
  it("are told in order, each with what became of it", async () => {
    const { app, orchestrator } = setupWithCheckout();
    const parked = { acknowledgedAt: null, tries: 3, retryAt: T0 + 60_000, parkedReason: "EVENT_TOO_LARGE: it is larger" };
    orchestrator.published.set("ctx_1", [published(1), published(2, parked)]);
    const body = await (await app.request(EVENTS)).json();
    expect(eventsBodySchema.parse(body)).toEqual(body);
    expect(body).toEqual({
      events: [
        {
          id: "ctx_1:1",
          type: "checkout.v1.checkout_initiated",
          seq: 1,
          typeseq: 1,
          data: { cartId: "cart_1" },
          committedAt: "2027-01-08T10:00:00.000Z",
          acknowledgedAt: "2027-01-08T10:00:00.005Z",
          tries: 1,
          retryAt: null,
          parkedReason: null,
        },
        expect.objectContaining({
          id: "ctx_1:2",
          acknowledgedAt: null,
          tries: 3,
          retryAt: "2027-01-08T10:01:00.000Z",
          parkedReason: "EVENT_TOO_LARGE: it is larger",
        }),
      ],
    });
  });

  it("are published at once when an operator asks for it, and again is harmless", async () => {
    const { app, orchestrator } = setupWithCheckout();
    orchestrator.published.set("ctx_1", [published(1, { acknowledgedAt: null })]);
    const response = await app.request(`${EVENTS}/redrive`, { method: "POST" });
    expect([response.status, await response.json()]).toEqual([200, { redriven: true }]);
    orchestrator.published.clear();
    expect(await (await app.request(`${EVENTS}/redrive`, { method: "POST" })).json()).toEqual({ redriven: false });
    expect(orchestrator.redriven).toEqual(["ctx_1", "ctx_1"]);
  });

  it("of another's checkout look like none", async () => {
    const { app, orchestrator } = setup();
    expect(await problemOf(await app.request(EVENTS))).toMatchObject({ status: 404 });
    expect(await problemOf(await app.request(`${EVENTS}/redrive`, { method: "POST" }))).toMatchObject({ status: 404 });
    expect(orchestrator.redriven).toEqual([]);
  });
});
