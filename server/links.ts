/** Where things are. Relative, so that they hold behind every proxy. */
export const CHECKOUTS_PATH = "/orchestration/checkout";

interface CheckoutLinks {
  readonly self: string;
  readonly stream: string;
  readonly history: string;
  readonly ledger: string;
  readonly events: string;
}

export function checkoutLinks(executionContextId: string): CheckoutLinks {
  const self = `${CHECKOUTS_PATH}/${executionContextId}`;
  return { self, stream: `${self}/stream`, history: `${self}/history`, ledger: `${self}/ledger`, events: `${self}/events` };
}

export function historyPageLink(executionContextId: string, after: number, limit: number): string {
  return `${checkoutLinks(executionContextId).history}?after=${after}&limit=${limit}`;
}
