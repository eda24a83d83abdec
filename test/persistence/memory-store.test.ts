import { expect, test } from "vitest";
import { isUnstorable } from "../../machines/errors.ts";
import { systemClock } from "../../server/system-ports.ts";
import { commitAfter, commitOne, createdCheckout, newCheckout } from "../conformance/store-fixtures.ts";
import { storeConformance } from "../conformance/store.ts";
import { MemoryStore } from "../simulation/memory-store.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";

storeConformance("in memory", async () => ({ store: new MemoryStore(systemClock), close: async () => undefined }));

test("a copy goes its own way, by its own clock", async () => {
  const clock = new VirtualClock();
  const store = new MemoryStore(clock);
  const { id } = await createdCheckout(store);
  const later = new VirtualClock(clock.now() + 1_000);
  const copy = store.clone(later);
  await commitOne(copy, commitAfter(id, 1, { events: [{ type: "note", data: { n: 1 } }] }));
  await commitOne(store, commitAfter(id, 1, { status: "AWAITING_PAYMENT" }));
  expect(await store.events(id)).toEqual([]);
  expect(await store.load(id)).toMatchObject({ seq: 2, status: "AWAITING_PAYMENT" });
  expect(await copy.load(id)).toMatchObject({ seq: 2, status: "PROCESSING" });
  expect(await copy.events(id)).toMatchObject([{ type: "note", committedAt: later.now() }]);
});

test("what was handed in or out can be changed without changing what is stored", async () => {
  const store = new MemoryStore(new VirtualClock());
  const request = { lines: [1] };
  const { id } = await createdCheckout(store, { request });
  request.lines.push(2);
  const loaded = (await store.loadRequest(id)) as typeof request;
  expect(loaded).toEqual({ lines: [1] });
  loaded.lines.push(3);
  expect(await store.loadRequest(id)).toEqual({ lines: [1] });
});

test("refuses what no database stores, and nothing that only looks like it", async () => {
  const store = new MemoryStore(new VirtualClock());
  const refusals = ["a\u0000b", "\ud800", "\udc00\ud800", "\\\u0000"].map((text) =>
    store.create(newCheckout({ request: { text } })).catch((error: unknown) => isUnstorable(error)),
  );
  expect(await Promise.all(refusals)).toEqual([true, true, true, true]);
  const text = "\\u0000 \\ud800 🛒 \\\\u0000";
  const { id } = await createdCheckout(store, { request: { text } });
  expect(await store.loadRequest(id)).toEqual({ text });
});
