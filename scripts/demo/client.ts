/** A client of the service, as any shop would write one: initiate, follow the stream, look again. */

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
  readonly state?: string;
  readonly code?: string;
  readonly rollback?: string;
  readonly invoice?: { readonly payable: number; readonly currency: string; readonly version: number } | null;
  readonly payment?: { readonly capturedAmount: number; readonly refundedAmount: number };
}

const CHECKOUTS = "/orchestration/checkout";

/** The README's example, for one cart. */
export function exampleRequest(cartId: string, instrumentId: string, expectedTotal = 249_900) {
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
    payment: { method: "UPI", instrumentId, returnUrl: "https://shop.example/return" },
    expectedTotal: { amount: expectedTotal, currency: "INR" },
    couponCodes: ["NEW100"],
  };
}

/** Rejects when the connection breaks: then nobody knows how far the checkout came, and the same key asks again. */
export async function initiate(url: string, key: string, request: unknown, waitSeconds: number): Promise<Answer> {
  const response = await fetch(`${url}${CHECKOUTS}/initiate`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key, Prefer: `wait=${waitSeconds}` },
    body: JSON.stringify(request),
  });
  const body = (await response.json()) as AnswerBody;
  return { httpStatus: response.status, isReplay: response.headers.get("idempotency-replayed") === "true", body };
}

export async function getCheckout(url: string, id: string): Promise<AnswerBody> {
  const response = await fetch(`${url}${CHECKOUTS}/${id}`);
  if (!response.ok) throw new Error(`GET ${id} answered ${response.status}.`);
  return (await response.json()) as AnswerBody;
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
