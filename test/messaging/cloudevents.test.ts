/** Our events in the hands of CloudEvents' own library: strict about what the specification says. */
import { CloudEvent as Parsed, HTTP } from "cloudevents";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { OUTBOUND_EVENT_TYPES } from "../../machines/events.ts";
import type { CloudEvent } from "../../messaging/bus.ts";
import { exampleOf } from "../../server/outbound-event-schemas.ts";
import { misfitOf } from "../support/misfit.ts";
import { eventually, order } from "../support/client.ts";
import { startService, type Service } from "../support/service.ts";
import { openEmbeddedStage, type Stage } from "../support/stage.ts";

const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/** As it comes out of a broker: bytes and a media type. */
function read(event: CloudEvent): unknown {
  const parsed = HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(event) });
  return JSON.parse(JSON.stringify(parsed));
}

function validate(event: CloudEvent): Parsed<unknown> {
  return new Parsed<unknown>({ ...event }, true);
}

describe("the example of", () => {
  test.each(OUTBOUND_EVENT_TYPES)("%s is a CloudEvent, and is read as it is written", (type) => {
    const event = exampleOf(type);
    expect(validate(event).validate()).toBe(true);
    expect(read(event)).toEqual(event);
  });
});

describe("what is none is refused:", () => {
  const event = exampleOf("checkout_completed");
  const refused: readonly (readonly [what: string, change: object, message: string])[] = [
    ["no source", { source: "" }, "invalid payload"],
    ["an extension in capitals", { typeSeq: 1 }, "invalid extension name: typeSeq"],
    ["a subject that is no text", { subject: 1 }, "invalid payload"],
  ];

  it.each(refused)("%s", (_, change, message) => {
    expect(() => validate({ ...event, ...change } as CloudEvent)).toThrow(message);
  });
});

describe("what a service publishes", () => {
  let stage: Stage;
  let service: Service;
  beforeAll(async () => {
    stage = await openEmbeddedStage();
    service = await startService(stage);
  });
  afterAll(async () => {
    await service.stop();
    await stage.close();
  });

  const told = (id: string, last: string) =>
    eventually(() => {
      const events = service.delivered(id);
      expect(events.at(-1)?.type).toBe(`checkout.v1.${last}`);
      return events;
    });

  it.each([
    ["confirmed", "ins_sync_ok", "checkout_completed", 4],
    ["cancelled while its payment is awaited", "ins_async", "checkout_rolled_back", 4],
    ["declined, and cancelled then", "ins_decline", "checkout_rolled_back", 5],
  ] as const)("of a checkout that is %s is that too, and what its schemas say", async (_, instrument, last, count) => {
    const { executionContextId: id, status } = (await service.initiate(order(instrument))).checkout();
    if (status === "AWAITING_PAYMENT") await service.cancel(id);
    const events = await told(id, last);
    expect(events).toHaveLength(count);
    for (const event of events) {
      const traced = { ...event, traceparent: TRACEPARENT };
      expect(validate(traced).validate()).toBe(true);
      expect(read(traced)).toEqual(traced);
      expect([misfitOf(event), misfitOf(traced)]).toEqual([null, null]);
    }
  });
});
