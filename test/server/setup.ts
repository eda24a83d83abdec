/** A fresh edge over a fake orchestrator, the domain's example request, and views to answer with. */
import { isDeepStrictEqual } from "node:util";
import { initialContext, type CheckoutContext, type Invoice, type InvoiceLine } from "../../machines/context.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { AppDeps } from "../../server/app-deps.ts";
import { createApp } from "../../server/app.ts";
import type { UnmatchedEvent } from "../../server/payment-event-schema.ts";
import { openPaymentDoor, type CaptureEvent } from "../../server/payment-events.ts";
import { fakeOrchestrator } from "../support/fake-orchestrator.ts";

export const T0 = Date.UTC(2027, 0, 8, 10, 0, 0);
export const INITIATE = "/orchestration/checkout/initiate";
export const WEBHOOK_SECRET = `whsec_${Buffer.from("a secret of the tests alone").toString("base64")}`;

/** Sent as it is; anything else is sent as JSON. */
type RawBody = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export function setup(overrides: Partial<AppDeps> = {}) {
  const orchestrator = fakeOrchestrator();
  const draining = new AbortController();
  const errors: Readonly<Record<string, unknown>>[] = [];
  const warnings: Readonly<Record<string, unknown>>[] = [];
  const timers: { readonly delayMs: number; readonly run: () => void }[] = [];
  const counters = new Counters();
  const unmatched: UnmatchedEvent[] = [];
  const booked: CaptureEvent[] = [];
  let ids = 0;
  const paymentDoor = openPaymentDoor({
    secret: WEBHOOK_SECRET,
    source: "psp",
    orchestrator,
    keepUnmatched: async (_source, event) => {
      const first = unmatched.find(({ data }) => data.eventId === event.data.eventId);
      unmatched.push(event);
      return { isNew: first === undefined, isContradiction: !isDeepStrictEqual(first ?? event, event), contextId: null };
    },
    findReceived: async (source, eventId) => {
      const kept = orchestrator.received.find((one) => one.source === source && one.event.data.eventId === eventId);
      return kept === undefined ? null : { event: { ...kept.event }, consumedSeq: null };
    },
    bookCapture: async (event) => booked.push(event),
    counters,
    log: { warn: (fields) => warnings.push(fields) },
  });
  const app = createApp({
    orchestrator,
    paymentDoor,
    metrics: { counters, gauges: {} },
    apiKeys: [],
    requestWaitMs: 5000,
    clock: {
      now: () => T0,
      monotonic: () => T0,
      after: (delayMs, run) => {
        timers.push({ delayMs, run });
        return () => undefined;
      },
    },
    ids: { next: (prefix) => `${prefix}_${++ids}` },
    log: { error: (fields) => errors.push(fields) },
    draining: draining.signal,
    readinessChecks: {},
    peerAddress: () => "127.0.0.1",
    version: "0.0.0",
    ...overrides,
  });
  const initiate = (body: RawBody | object, headers: Readonly<Record<string, string>> = {}) =>
    app.request(INITIATE, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": "key-1", ...headers },
      body: isBodyInit(body) ? body : JSON.stringify(body),
      ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
    });
  /** As a client sends it: an object as JSON, a text as it is, nothing without a media type. */
  const post = (path: string, body?: string | object, headers: Readonly<Record<string, string>> = {}) =>
    app.request(path, {
      method: "POST",
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: typeof body === "object" ? JSON.stringify(body) : (body ?? null),
    });
  return { app, orchestrator, paymentDoor, counters, unmatched, booked, draining, errors, warnings, timers, initiate, post };
}

function isBodyInit(body: RawBody | object): body is RawBody {
  return typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
}

/** The same with a checkout that belongs to the caller without API keys. */
export function setupWithCheckout(overrides: Partial<AppDeps> = {}, view = viewOf()) {
  const bundle = setup(overrides);
  bundle.orchestrator.views.set("ctx_1", {
    caller: "local",
    userId: "usr_42",
    createdAt: T0,
    parkedReason: null,
    isOfOtherVersion: false,
    view,
  });
  return bundle;
}

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly class: string;
  readonly executionContextId?: string;
  readonly retryScheduled: boolean;
  readonly rollback: string;
  readonly violations?: readonly { readonly pointer: string; readonly code: string; readonly message: string }[];
  readonly [extension: string]: unknown;
}

export async function problemOf(response: Response): Promise<ProblemBody> {
  const type = response.headers.get("content-type");
  if (type !== "application/problem+json") throw new Error(`Expected a problem, got ${response.status} ${String(type)}`);
  const body = (await response.json()) as ProblemBody;
  if (body.status !== response.status) throw new Error(`The problem says ${body.status}, the response ${response.status}`);
  return body;
}

/** The README's example. */
export function exampleRequest(): CheckoutRequest {
  return {
    cart: { cartId: "cart_01J", version: 7 },
    user: { userId: "usr_42", cityId: "BLR" },
    device: { deviceId: "dev_9", platform: "ANDROID", appVersion: "8.4.0" },
    lineItems: [
      { ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: "NOW" },
      { ref: "l2", sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2", paymentTiming: "NOW" },
    ],
    preferences: [
      { ref: "p1", type: "DELIVERY_SLOT", lineItemRefs: ["l1"], payload: { slotId: "slot_0900", date: "2027-01-09" } },
    ],
    optIns: [{ ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m" }],
    payment: { method: "UPI", instrumentId: "ins_async", returnUrl: "https://shop.example/return" },
    expectedTotal: { amount: 249900, currency: "INR" },
    couponCodes: ["NEW100"],
  };
}

export function exampleInvoice(): Invoice {
  const line = (ref: string, total: number, paymentGroupId: string, kind: InvoiceLine["kind"] = "LINE_ITEM"): InvoiceLine => {
    return { ref, kind, sku: `sku-${ref}`, quantity: 1, unitPrice: total, discount: 0, tax: 0, fee: 0, total, paymentGroupId };
  };
  return {
    invoiceId: "inv_1",
    version: 1,
    hash: "h",
    payable: 249900,
    currency: "INR",
    expiresAt: T0 + 900_000,
    lines: [line("l1", 191901, "pg_1"), line("l2", 47999, "pg_2"), line("o1", 10000, "pg_1", "OPT_IN")],
  };
}

/** The README's example once it awaits its payment. */
export function awaitingContext(overrides: Partial<CheckoutContext> = {}): CheckoutContext {
  const context = freshContext();
  return {
    ...context,
    paymentGroups: [
      { paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" },
      { paymentGroupId: "pg_2", lineItemRefs: ["l2"], sellerId: "slr_2", paymentTiming: "NOW" },
    ],
    preferences: [{ ref: "p1", preferenceId: "psp_1", lineItemRefs: ["l1"] }],
    invoice: exampleInvoice(),
    order: { checkoutOrderId: "co_01J", orderNumber: "BLR-000123" },
    optIns: [{ ref: "o1", optInId: "opt_1" }],
    lineItems: [
      { ref: "l1", lineItemId: "li_1" },
      { ref: "l2", lineItemId: "li_2" },
    ],
    payment: {
      ...context.payment,
      status: "REQUIRES_ACTION",
      pcrId: "pcr_1",
      attemptId: "att_1",
      dueAt: T0 + 900_000,
      nextAction: { type: "UPI_COLLECT", expiresAt: T0 + 900_000 },
    },
    ...overrides,
  };
}

export function freshContext(): CheckoutContext {
  return initialContext({
    executionContextId: "ctx_1",
    userId: "usr_42",
    cartId: "cart_01J",
    cartVersion: 7,
    policy: {
      stepRetryMax: 5,
      stepRetryBudgetMs: 60_000,
      undoRetryMax: 8,
      paymentDeadlineMs: 900_000,
      paymentAttemptsMax: 3,
      paymentPollMs: 60_000,
    },
  });
}

export function viewOf(overrides: Partial<CheckoutView> = {}): CheckoutView {
  return {
    executionContextId: "ctx_1",
    seq: 20,
    path: "PROCESSING.STEP_8.awaitingPayment",
    state: "STEP_8",
    status: "AWAITING_PAYMENT",
    finished: false,
    context: awaitingContext(),
    ...overrides,
  };
}
