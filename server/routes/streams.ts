/** What happens, as it happens: one checkout's journal, and which of the caller's checkouts moved. */
import type { TransitionNotice } from "../../runtime/transition-notice.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { rfc3339 } from "../checkout-body.ts";
import { problemResponse } from "../error-response.ts";
import { historyEntryBody, resumeAfter } from "../history-page.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { createLiveStreams, type SendNews } from "../live-streams.ts";
import { checkoutParameter, problemResponses } from "../openapi.ts";
import { ownCheckout, unknownCheckout } from "../own-checkout.ts";

const WATCH_PATH = "/orchestration/watch";

const PAGE_SIZE = 100;
/** Checkouts that moved since a slow reader last looked. Past it the reader is told to read the list again. */
const PENDING_MAX = 500;
const OWNERS_MAX = 2000;

export function addStreamRoutes(app: App, deps: AppDeps): void {
  document(app);
  const streams = createLiveStreams(deps);
  app.get(`${CHECKOUTS_PATH}/:id/stream`, async (c) => {
    const id = c.req.param("id");
    const stored = await ownCheckout(deps.orchestrator, id, c.get("caller"));
    if (stored === null) return problemResponse(unknownCheckout());
    return streams.open(
      c,
      (wakeUp) => deps.orchestrator.watch((notice) => notice.executionContextId === id && wakeUp.notify()),
      sendJournal(deps, id, resumeAfter(c.req.header("last-event-id"))),
    );
  });
  app.get(WATCH_PATH, (c) => {
    const moved = createMoved();
    return streams.open(
      c,
      (wakeUp) =>
        deps.orchestrator.watch((notice) => {
          moved.add(notice);
          wakeUp.notify();
        }),
      sendMoved(deps, moved, c.get("caller")),
    );
  });
}

/** From the journal, not from the notices: it also has what other nodes committed, and nothing is missed between the two. */
function sendJournal(deps: AppDeps, id: string, afterSeq: number): SendNews {
  let after = afterSeq;
  return async (stream) => {
    for (;;) {
      const entries = await deps.orchestrator.history(id, after, PAGE_SIZE);
      for (const entry of entries) {
        await stream.writeSSE({ id: String(entry.seq), event: "transition", data: JSON.stringify(historyEntryBody(entry)) });
        after = entry.seq;
      }
      if (entries.length < PAGE_SIZE || stream.aborted) return;
    }
  };
}

interface Moved {
  add(notice: TransitionNotice): void;
  take(): { readonly notices: readonly TransitionNotice[]; readonly hasOverflowed: boolean };
}

/** The newest notice of each checkout. */
function createMoved(): Moved {
  let pending = new Map<string, TransitionNotice>();
  let hasOverflowed = false;
  return {
    add(notice) {
      if (pending.size < PENDING_MAX || pending.has(notice.executionContextId)) pending.set(notice.executionContextId, notice);
      else hasOverflowed = true;
    },
    take() {
      const taken = { notices: [...pending.values()], hasOverflowed };
      pending = new Map();
      hasOverflowed = false;
      return taken;
    },
  };
}

function sendMoved(deps: AppDeps, moved: Moved, caller: string): SendNews {
  const isOwn = new Map<string, boolean>();
  return async (stream) => {
    const { notices, hasOverflowed } = moved.take();
    if (hasOverflowed) await stream.writeSSE({ event: "resync", data: "{}" });
    for (const { executionContextId: id, entry, state, status } of notices) {
      if (isOwn.size >= OWNERS_MAX) isOwn.clear();
      const own = isOwn.get(id) ?? (await ownCheckout(deps.orchestrator, id, caller)) !== null;
      isOwn.set(id, own);
      if (!own) continue;
      const data = { executionContextId: id, seq: entry.seq, at: rfc3339(entry.at), state, status };
      await stream.writeSSE({ event: "transition", data: JSON.stringify(data) });
    }
  };
}

function document(app: App): void {
  const security = [{ apiKey: [] }];
  const eventStream = {
    description: "Server-sent events",
    content: { "text/event-stream": { schema: { type: "string" } } },
  } as const;
  app.openAPIRegistry.registerPath({
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}/stream`,
    operationId: "streamCheckout",
    summary: "The journal's entries, those before and those to come; `id:` is the seq, Last-Event-ID resumes",
    security,
    parameters: [checkoutParameter],
    responses: { 200: eventStream, ...problemResponses(401, 403, 404, 503) },
  });
  app.openAPIRegistry.registerPath({
    method: "get",
    path: WATCH_PATH,
    operationId: "watchCheckouts",
    summary: "Which of the caller's checkouts moved on this node, from now on",
    security,
    responses: { 200: eventStream, ...problemResponses(401, 403, 503) },
  });
}
