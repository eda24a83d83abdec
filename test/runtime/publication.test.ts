import { expect, test } from "vitest";
import { TerminalError } from "../../machines/errors.ts";
import { publishInOrder, toCloudEvent } from "../../runtime/publication.ts";
import { logInto, published, type Told } from "./relay-desk.ts";

/** Two events of one checkout, offered to a bus that refuses the second. */
async function refusing(error: Error) {
  const told: Told[] = [];
  const publish = async ({ seq }: { readonly seq: number }) => {
    if (seq === 8) throw error;
  };
  const events = [published("ctx_1", 7), published("ctx_1", 8)];
  const { marks } = await publishInOrder(events, {
    bus: { publish },
    log: logInto(told),
    source: "/checkoutd",
    mayPublish: () => true,
  });
  return { told, marks };
}

test("an event that failed is told as a warning, with its checkout, its number and the error", async () => {
  const err = new Error("the broker refuses it");
  const { told, marks } = await refusing(err);
  expect(told).toEqual([["warn", { executionContextId: "ctx_1", eventSeq: 8, err }]]);
  expect(marks.map(({ eventSeq, kind }) => [eventSeq, kind])).toEqual([
    [7, "acknowledged"],
    [8, "failed"],
  ]);
});

test("one that is parked is told as an error, for an operator to find", async () => {
  const err = new TerminalError("EVENT_TOO_LARGE", "It is larger than the broker takes.");
  const { told, marks } = await refusing(err);
  expect(told).toEqual([["error", { executionContextId: "ctx_1", eventSeq: 8, err }]]);
  expect(marks.map(({ eventSeq, kind }) => [eventSeq, kind])).toEqual([
    [7, "acknowledged"],
    [8, "parked"],
  ]);
});

test("names the trace of the client's request, and no trace where there was none", () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const traced = toCloudEvent({ ...published("ctx_1", 1), traceparent }, "/checkoutd");
  const untraced = toCloudEvent(published("ctx_1", 1), "/checkoutd");
  expect(traced.traceparent).toBe(traceparent);
  expect(Object.keys(untraced)).toEqual(Object.keys(traced).filter((name) => name !== "traceparent"));
});
