/** Where things are. Relative, so that they hold behind every proxy. */
export const CHECKOUTS_PATH = "/orchestration/checkout";

export function checkoutLinks(executionContextId: string): { self: string; stream: string; history: string; ledger: string } {
  const self = `${CHECKOUTS_PATH}/${executionContextId}`;
  return { self, stream: `${self}/stream`, history: `${self}/history`, ledger: `${self}/ledger` };
}

export function historyPageLink(executionContextId: string, after: number, limit: number): string {
  return `${checkoutLinks(executionContextId).history}?after=${after}&limit=${limit}`;
}
