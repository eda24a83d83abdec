/** A shop that calls the API, and what it wants to buy. */
import { randomUUID } from "node:crypto";
import { expect, vi } from "vitest";
import type { CheckoutBody, PastCheckoutBody } from "../../server/response-schema.ts";
import { signedDelivery } from "../../server/webhook-signature.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import type { ProblemBody } from "../server/setup.ts";
import { documentedRequest, slotPreference } from "../services/checkouts.ts";

const CHECKOUT = "/orchestration/checkout";
/** What nodes of a test share with the payment provider. */
export const WEBHOOK_SECRET = "whsec_dGVzdHMgc2lnbiB0aGVpciBvd24gcGF5bWVudCBldmVudHM=";
/** A loaded machine takes its time; a test that waits this long has failed. */
const PATIENCE_MS = 10_000;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body byte for byte. */
  readonly text: string;
  readonly isReplayed: boolean;
  /** The body of a 200. */
  checkout(): CheckoutBody;
  problem(): ProblemBody;
}

export interface LedgerBody {
  readonly entries: readonly { readonly debit: string; readonly credit: string; readonly amount: number }[];
  readonly balances: readonly { readonly account: string; readonly currency: string; readonly amount: number }[];
}

type SignableEvent = Parameters<typeof signedDelivery>[1];

export interface Sending {
  readonly key?: string;
  readonly token?: string;
  /** `Prefer: wait=…`, in seconds. */
  readonly wait?: number;
}

export interface Client {
  /** An object is sent as JSON, a text as it is. */
  initiate(body: object | string, sending?: Sending): Promise<Answer>;
  get(executionContextId: string): Promise<Answer>;
  /** Whatever lies there. */
  request(path: string): Promise<Answer>;
  cancel(executionContextId: string, sending?: Sending): Promise<Answer>;
  /** Another payment attempt. */
  pay(executionContextId: string, instrumentId: string, sending?: Sending): Promise<Answer>;
  resolve(executionContextId: string, body: object, sending?: Sending): Promise<Answer>;
  ledger(executionContextId: string): Promise<LedgerBody>;
  /** As it was after that entry of its journal. */
  at(executionContextId: string, seq: number): Promise<PastCheckoutBody>;
  /** Server-sent events: the journal after this entry. */
  stream(executionContextId: string, lastEventId: number): Promise<Response>;
  /** What the payment provider does: signs an event and posts it. */
  deliverPayment(event: SignableEvent): Promise<Answer>;
  /** The checkout once it has this public status. */
  reaches(executionContextId: string, status: CheckoutBody["status"]): Promise<CheckoutBody>;
}

/** An app, or a service that is reached in some other way. */
export interface Door {
  request(path: string, init?: RequestInit): Response | Promise<Response>;
}

export function clientOf(app: Door): Client {
  const get = async (id: string) => read(await app.request(`${CHECKOUT}/${id}`));
  const post = async (path: string, body: object | string, { key = randomUUID(), token, wait }: Sending = {}) =>
    read(
      await app.request(`${CHECKOUT}/${path}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Idempotency-Key": key,
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
          ...(wait === undefined ? {} : { Prefer: `wait=${wait}` }),
        },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    );
  return {
    get,
    request: async (path) => read(await app.request(path)),
    initiate: (body, sending) => post("initiate", body, sending),
    cancel: (id, sending) => post(`${id}/cancel`, {}, sending),
    pay: (id, instrumentId, sending) => post(`${id}/payment`, { method: "UPI", instrumentId }, sending),
    resolve: (id, body, sending) => post(`${id}/resolve`, body, sending),
    ledger: async (id) => (await app.request(`${CHECKOUT}/${id}/ledger`)).json() as Promise<LedgerBody>,
    at: async (id, seq) => (await app.request(`${CHECKOUT}/${id}/at?seq=${seq}`)).json() as Promise<PastCheckoutBody>,
    stream: async (id, lastEventId) =>
      app.request(`${CHECKOUT}/${id}/stream`, { headers: { "Last-Event-ID": String(lastEventId) } }),
    deliverPayment: async (event) => {
      const { headers, body } = signedDelivery(WEBHOOK_SECRET, event);
      const init = { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: Buffer.from(body) };
      return read(await app.request("/orchestration/payments/events", init));
    },
    reaches: (id, status) =>
      eventually(async () => {
        const checkout = (await get(id)).checkout();
        expect(checkout).toMatchObject({ status });
        return checkout;
      }),
  };
}

/** What `look` returns once it no longer throws. */
export function eventually<Result>(look: () => Promise<Result> | Result): Promise<Result> {
  return vi.waitFor(look, { timeout: PATIENCE_MS, interval: 40 });
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  const parsed = (type: string): unknown => {
    const actual = response.headers.get("content-type") ?? "";
    if (!actual.startsWith(type)) throw new Error(`expected ${type}, got ${response.status} ${actual}: ${text}`);
    return JSON.parse(text);
  };
  return {
    status: response.status,
    headers: response.headers,
    text,
    isReplayed: response.headers.get("idempotency-replayed") === "true",
    checkout: () => parsed("application/json") as CheckoutBody,
    problem: () => parsed("application/problem+json") as ProblemBody,
  };
}

const DAY_MS = 86_400_000;

/** A day that a slot can still be booked for, whenever the tests run. */
export function bookableDate(daysAhead = 30): string {
  return new Date(Date.now() + daysAhead * DAY_MS).toISOString().slice(0, 10);
}

/** The documented example with a cart of its own; `instrumentId` says how its payment behaves. */
export function order(instrumentId = "ins_sync_ok", overrides: Partial<CheckoutRequest> = {}): CheckoutRequest {
  const example = documentedRequest();
  return {
    ...example,
    cart: { cartId: `cart_${randomUUID()}`, version: 7 },
    preferences: [slotPreference("slot_0900", bookableDate())],
    payment: { ...example.payment, instrumentId },
    ...overrides,
  };
}
