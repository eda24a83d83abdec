import { describe, expect, it } from "vitest";
import type { JournalEntry } from "../../persistence/store.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";
import { createWakeUp } from "../../server/live-streams.ts";
import { problemOf, setup, T0, viewOf } from "./setup.ts";

function entry(seq: number): JournalEntry {
  return { seq, at: T0, event: { type: "E" }, from: null, to: `S${seq}`, contextHash: "h" };
}

function notice(executionContextId: string, seq: number): TransitionNotice {
  return { executionContextId, entry: entry(seq), state: "STEP_1", status: "PROCESSING" };
}

function setupStream() {
  const bundle = setup();
  const { orchestrator } = bundle;
  const journal: JournalEntry[] = [];
  orchestrator.views.set("ctx_1", {
    caller: "local",
    userId: "u",
    createdAt: T0,
    parkedReason: null,
    isOfOtherVersion: false,
    view: viewOf(),
  });
  orchestrator.views.set("ctx_2", {
    caller: "shop",
    userId: "u",
    createdAt: T0,
    parkedReason: null,
    isOfOtherVersion: false,
    view: viewOf(),
  });
  orchestrator.journals.set("ctx_1", journal);
  return { ...bundle, journal };
}

/** Reads server-sent events until the predicate holds for the text so far. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, isEnough: (text: string) => boolean): Promise<string> {
  let text = "";
  while (!isEnough(text)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  return text;
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  if (response.body === null) throw new Error("no body");
  return response.body.getReader();
}

describe("a checkout's stream", () => {
  it("sends the journal so far, then each entry as it is committed, by its seq", async () => {
    const { app, orchestrator, journal } = setupStream();
    journal.push(entry(1), entry(2));
    const response = await app.request("/orchestration/checkout/ctx_1/stream");
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const reader = readerOf(response);
    expect(await readUntil(reader, (text) => text.includes("id: 2"))).toContain("id: 1");
    journal.push(entry(3));
    orchestrator.announce(notice("ctx_1", 3));
    expect(await readUntil(reader, (text) => text.includes("id: 3"))).not.toContain("id: 2");
    await reader.cancel();
    await expect.poll(() => orchestrator.watchers()).toBe(0);
  });

  it("resumes after Last-Event-ID", async () => {
    const { app, journal } = setupStream();
    journal.push(entry(1), entry(2));
    const reader = readerOf(await app.request("/orchestration/checkout/ctx_1/stream", { headers: { "Last-Event-ID": "1" } }));
    expect(await readUntil(reader, (text) => text.includes("id: 2"))).not.toContain("id: 1");
    await reader.cancel();
  });

  it("looks again by itself for what other nodes committed", async () => {
    const { app, journal, timers } = setupStream();
    const reader = readerOf(await app.request("/orchestration/checkout/ctx_1/stream"));
    await expect.poll(() => timers.length).toBe(1);
    journal.push(entry(1));
    timers[0]?.run();
    expect(await readUntil(reader, (text) => text.includes("id: 1"))).toContain("event: transition");
    await reader.cancel();
  });

  it("ends when the node drains, and none begins", async () => {
    const { app, draining, orchestrator } = setupStream();
    const reader = readerOf(await app.request("/orchestration/checkout/ctx_1/stream"));
    draining.abort();
    await readUntil(reader, () => false);
    expect(orchestrator.watchers()).toBe(0);
    expect(await problemOf(await app.request("/orchestration/checkout/ctx_1/stream"))).toMatchObject({ code: "DRAINING" });
  });

  it("is refused when too many are open", async () => {
    const { app, draining } = setupStream();
    for (let i = 0; i < 200; i++) await app.request("/orchestration/watch");
    const refused = await app.request("/orchestration/watch");
    expect(await problemOf(refused)).toMatchObject({ status: 503, code: "UNAVAILABLE" });
    draining.abort();
  });
});

describe("watching", () => {
  it("tells which of the caller's own checkouts moved, each by its newest transition", async () => {
    const { app, orchestrator } = setupStream();
    const reader = readerOf(await app.request("/orchestration/watch"));
    for (const moved of [notice("ctx_2", 1), notice("ctx_1", 1), notice("ctx_1", 2)]) orchestrator.announce(moved);
    const text = await readUntil(reader, (soFar) => soFar.includes("transition"));
    expect(text).toContain('"executionContextId":"ctx_1","seq":2');
    expect(text).not.toContain("ctx_2");
    await reader.cancel();
  });

  it("asks a reader that fell behind to read the list again", async () => {
    const { app, orchestrator } = setupStream();
    const reader = readerOf(await app.request("/orchestration/watch"));
    for (let i = 0; i < 600; i++) orchestrator.announce(notice(`ctx_other_${i}`, 1));
    expect(await readUntil(reader, (text) => text.includes("resync"))).toContain("event: resync");
    await reader.cancel();
  });
});

describe("a wake-up", () => {
  it("remembers a notify from before the wait, once, however often it came", async () => {
    const timers: (() => void)[] = [];
    const wakeUp = createWakeUp({
      after: (_delayMs, run) => {
        timers.push(run);
        return () => undefined;
      },
    });
    wakeUp.notify();
    wakeUp.notify();
    expect(await wakeUp.wait(1)).toBe(true);
    const idle = wakeUp.wait(1);
    timers[0]?.();
    expect(await idle).toBe(false);
  });
});
