/**
 * Stands for the order system that a team already has. What it must promise is in steps/services.ts: the same
 * key gives the same order, an undo takes the key alone, and after it the delayed original is refused.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface Order {
  readonly checkoutOrderId: string;
  readonly orderNumber: string;
  readonly executionContextId: string;
  status: string;
}

interface Body {
  readonly key: string;
  readonly executionContextId: string;
  readonly reason: string;
}

export interface OrderSystem {
  readonly url: string;
  readonly orders: readonly Order[];
  stop(): Promise<void>;
}

export async function startOrderSystem(): Promise<OrderSystem> {
  const orders: Order[] = [];
  /** By idempotency key; null = undone before it was done. */
  const byKey = new Map<string, Order | null>();

  const create = ({ key, executionContextId }: Body): Order | null => {
    const known = byKey.get(key);
    if (known !== undefined) return known?.status.startsWith("CANCELLED") === true ? null : known;
    const number = orders.length + 1;
    const order = { checkoutOrderId: `order_${number}`, orderNumber: `ORD-${number}`, executionContextId, status: "PENDING" };
    orders.push(order);
    byKey.set(key, order);
    return order;
  };
  const cancel = ({ key, reason }: Body) => {
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, null);
    if (known?.status === "PENDING") known.status = `CANCELLED (${reason})`;
    return { conflicts: [] };
  };
  const confirm = ({ executionContextId }: Body) => {
    const order = orders.find((one) => one.executionContextId === executionContextId);
    if (order === undefined || order.status.startsWith("CANCELLED")) return null;
    order.status = "CONFIRMED";
    return {};
  };
  const operations = new Map<string, (body: Body) => object | null>([
    ["/orders", create],
    ["/orders/cancel", cancel],
    ["/orders/confirm", confirm],
  ]);

  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const answer = operations.get(request.url ?? "")?.(body) ?? null;
      response.writeHead(answer === null ? 409 : 200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    orders,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      }),
  };
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Body;
}
