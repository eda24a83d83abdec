/**
 * Server-sent events. Each stream has a wake-up that forgets how often it was called, so a reader that
 * is slow, or gone, costs no memory and never slows a checkout.
 */
import type { Context } from "hono";
import { streamSSE, type SSEStreamingApi } from "hono/streaming";
import type { Clock } from "../steps/ports.ts";
import type { AppDeps, EdgeEnv } from "./app-deps.ts";
import { problemResponse } from "./error-response.ts";
import { problem } from "./problems.ts";

const STREAMS_MAX = 200;
/** How often a stream looks by itself for what other nodes did: their checkouts are watched live here, too. */
const LOOK_MS = 1000;
/** So many looks may find nothing: then the stream says so, because proxies cut idle connections. */
const SILENT_LOOKS_MAX = 5;

export interface WakeUp {
  notify(): void;
  /** Resolves at the next notify, or at once if there was one since the last wait; false after `maxMs`. */
  wait(maxMs: number): Promise<boolean>;
}

/** One waiter at a time. */
export function createWakeUp(clock: Pick<Clock, "after">): WakeUp {
  let isNotified = false;
  let wake: ((isNotified: boolean) => void) | null = null;
  return {
    notify() {
      isNotified = true;
      wake?.(true);
    },
    async wait(maxMs) {
      if (!isNotified) {
        let stopTimer = (): void => undefined;
        await new Promise<boolean>((resolve) => {
          wake = resolve;
          stopTimer = clock.after(maxMs, () => resolve(false));
        });
        stopTimer();
        wake = null;
      }
      const wasNotified = isNotified;
      isNotified = false;
      return wasNotified;
    },
  };
}

export interface LiveStreams {
  /**
   * Answers with an event stream: `send` writes what is new, is called at once and after each wake-up, and
   * every second for what other nodes did. `subscribe` is given the wake-up; returns how to unsubscribe.
   */
  open(c: Context<EdgeEnv>, subscribe: (wakeUp: WakeUp) => () => void, send: SendNews): Response;
}

export type SendNews = (stream: SSEStreamingApi) => Promise<void>;

export function createLiveStreams(deps: Pick<AppDeps, "clock" | "draining" | "log">): LiveStreams {
  const open = new Set<WakeUp>();
  deps.draining.addEventListener("abort", () => {
    for (const wakeUp of open) wakeUp.notify();
  });
  return {
    open(c, subscribe, send) {
      if (deps.draining.aborted) return problemResponse(problem("DRAINING", "This node is shutting down. Connect again."));
      // Nobody would read its body, so nothing would ever end it.
      if (c.req.method === "HEAD") return c.body(null, 200, { "Content-Type": "text/event-stream" });
      if (open.size >= STREAMS_MAX) {
        return problemResponse(problem("UNAVAILABLE", `This node serves ${STREAMS_MAX} streams at most. Connect again later.`));
      }
      const wakeUp = createWakeUp(deps.clock);
      open.add(wakeUp);
      const unsubscribe = subscribe(wakeUp);
      const requestId = c.get("requestId");
      return streamSSE(c, async (stream) => {
        stream.onAbort(() => wakeUp.notify());
        try {
          for (let silentLooks = 0; !stream.aborted && !deps.draining.aborted;) {
            await send(stream);
            silentLooks = (await wakeUp.wait(LOOK_MS)) ? 0 : silentLooks + 1;
            if (silentLooks > 0 && silentLooks % SILENT_LOOKS_MAX === 0) await stream.write(": idle\n\n");
          }
        } catch (error) {
          // The client connects again with Last-Event-ID; nothing is lost.
          deps.log.error({ requestId, err: error }, "An event stream ended in an error.");
        } finally {
          unsubscribe();
          open.delete(wakeUp);
        }
      });
    },
  };
}
