/** A client of the service, as any shop would write one: initiate, follow the stream, pay in another way, cancel, look. */

/** One line of the journal, as the API tells it. */
export interface Transition {
  readonly seq: number;
  readonly at: string;
  readonly event: string;
  readonly from: string | null;
  readonly to: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly httpStatus: number;
  readonly isReplay: boolean;
  readonly body: AnswerBody;
}

/** What the demo reads of a checkout or a problem. */
export interface AnswerBody {
  readonly executionContextId: string;
  readonly status?: string | number;
  readonly code?: string;
  readonly rollback?: string;
  readonly invoice?: { readonly payable: number; readonly currency: string } | null;
  readonly payment?: PaymentBody;
}

export interface PaymentBody {
  readonly pcrId: string | null;
  readonly attemptId: string | null;
  readonly amount: number | null;
  readonly currency: string | null;
  readonly capturedAmount: number;
  readonly refundedAmount: number;
  readonly attemptsLeft: number;
  readonly refunds: readonly { readonly reason: string; readonly status: string; readonly amount: number }[];
}

/** How the customer pays. */
export interface PaymentChoice {
  readonly method: string;
  readonly instrumentId: string;
}

export interface LedgerBody {
  readonly balances: readonly { readonly account: string; readonly currency: string; readonly amount: number }[];
}

const CHECKOUTS = "/orchestration/checkout";
/** On Postgres a dead node's lease must end first (10 s); a client's patience is limited to 30 s. */
export const CLIENT_WAIT_SECONDS = 25;
/** Two air conditioners and a filter, a membership, less the coupon. */
const TOTAL = 249_900;

/** The README's example with a device and a slot, for one cart. */
export function exampleRequest(cartId: string, instrumentId: string, expectedTotal = TOTAL, method = "UPI") {
  return {
    cart: { cartId, version: 7 },
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
    payment: { method, instrumentId, returnUrl: "https://shop.example/return" },
    expectedTotal: { amount: expectedTotal, currency: "INR" },
    couponCodes: ["NEW100"],
  };
}

/** Rejects when the connection breaks: then nobody knows how far the checkout came, and the same key asks again. */
export function initiate(url: string, key: string, request: unknown, waitSeconds: number): Promise<Answer> {
  return post(`${url}${CHECKOUTS}/initiate`, { "Idempotency-Key": key, Prefer: `wait=${waitSeconds}` }, request);
}

export function attemptPayment(url: string, id: string, key: string, means: PaymentChoice): Promise<Answer> {
  return post(`${url}${CHECKOUTS}/${id}/payment`, { "Idempotency-Key": key, Prefer: `wait=${CLIENT_WAIT_SECONDS}` }, means);
}

export function cancel(url: string, id: string): Promise<Answer> {
  return post(`${url}${CHECKOUTS}/${id}/cancel`, { Prefer: `wait=${CLIENT_WAIT_SECONDS}` }, {});
}

export function getCheckout(url: string, id: string): Promise<AnswerBody> {
  return get<AnswerBody>(`${url}${CHECKOUTS}/${id}`);
}

export function getLedger(url: string, id: string): Promise<LedgerBody> {
  return get<LedgerBody>(`${url}${CHECKOUTS}/${id}/ledger`);
}

/** The journal from `afterSeq` on, as it grows. Throws when the connection breaks. */
export async function* follow(url: string, id: string, afterSeq: number, signal: AbortSignal): AsyncGenerator<Transition> {
  const headers = { "Last-Event-ID": String(afterSeq) };
  const response = await fetch(`${url}${CHECKOUTS}/${id}/stream`, { headers, signal });
  if (!response.ok || response.body === null) throw new Error(`The stream of ${id} answered ${response.status}.`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      if (block.includes("event: transition") && data !== undefined) yield JSON.parse(data.slice(6)) as Transition;
    }
  }
}

export function isEnding({ to }: Transition): boolean {
  return to.startsWith("COMPLETED") || to.startsWith("ROLLEDBACK");
}

export function isAwaitingPayment({ to }: Transition): boolean {
  return to.endsWith(".awaitingPayment");
}

async function post(url: string, headers: Readonly<Record<string, string>>, body: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as AnswerBody;
  return { httpStatus: response.status, isReplay: response.headers.get("idempotency-replayed") === "true", body: answer };
}

async function get<Body>(url: string): Promise<Body> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}.`);
  return (await response.json()) as Body;
}
