/** A shop that calls the API, and what it wants to buy. */
import { randomUUID } from "node:crypto";
import { expect, vi } from "vitest";
import type { App } from "../../server/app-deps.ts";
import type { CheckoutBody } from "../../server/response-schema.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import type { ProblemBody } from "../server/setup.ts";
import { documentedRequest, slotPreference } from "../services/checkouts.ts";

const CHECKOUT = "/orchestration/checkout";
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
  /** The checkout once it has this public status. */
  reaches(executionContextId: string, status: CheckoutBody["status"]): Promise<CheckoutBody>;
}

export function clientOf(app: App): Client {
  const get = async (id: string) => read(await app.request(`${CHECKOUT}/${id}`));
  return {
    get,
    initiate: async (body, { key = randomUUID(), token, wait } = {}) =>
      read(
        await app.request(`${CHECKOUT}/initiate`, {
          method: "POST",
          headers: {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
            ...(wait === undefined ? {} : { Prefer: `wait=${wait}` }),
          },
          body: typeof body === "string" ? body : JSON.stringify(body),
        }),
      ),
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
