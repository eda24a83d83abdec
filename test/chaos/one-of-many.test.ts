/** Many clients at once over three nodes: of the same request there is one checkout, and of one cart there runs one. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { clientOf, order, type Answer, type Client } from "../support/client.ts";
import { describeOn } from "../support/server.ts";
import { openNodes, type Nodes } from "./nodes.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const WAIT_SECONDS = 25;

describeOn("postgres", "many at once, over three nodes", (postgresUrl) => {
  let nodes: Nodes;
  let shops: readonly Client[];
  beforeAll(async () => {
    nodes = await openNodes(postgresUrl, 3);
    shops = nodes.all.map(({ url }) => clientOf({ request: (path, init) => fetch(`${url}${path}`, init) }));
  });
  afterAll(() => nodes.close());

  /** One after the other in turn over the nodes, all at the same time. */
  function atOnce(count: number, ask: (shop: Client) => Promise<Answer>): Promise<readonly Answer[]> {
    return Promise.all(
      Array.from({ length: count }, (_, number) => {
        const shop = shops[number % shops.length];
        if (shop === undefined) throw new Error("There are nodes.");
        return ask(shop);
      }),
    );
  }

  const checkoutsOf = (cartId: string) =>
    nodes.database.rows<{ id: string; status: string }>("select id, status from checkoutd.contexts where cart_id = $1", [cartId]);

  test("a thousand times the same request under one key is one checkout, with one answer, byte for byte", async () => {
    const [body, key] = [order(), randomUUID()];
    const answers = await atOnce(1_000, (shop) => shop.initiate(body, { key, wait: WAIT_SECONDS }));
    const checkouts = await checkoutsOf(body.cart.cartId);
    expect(checkouts).toMatchObject([{ status: "CONFIRMED" }]);
    expect([...new Set(answers.map(({ status }) => status))]).toEqual([200]);
    expect([...new Set(answers.map(({ text }) => text))]).toHaveLength(1);
    expect(answers[0]?.checkout().executionContextId).toBe(checkouts[0]?.id);
  });

  test("of fifty keys for one cart one runs, and 49 are told which", async () => {
    const body = order("ins_async");
    const answers = await atOnce(50, (shop) => shop.initiate(body, { wait: WAIT_SECONDS }));
    const won = answers.filter(({ status }) => status === 200).map((answer) => answer.checkout().executionContextId);
    const lost = answers.filter(({ status }) => status === 409).map((answer) => answer.problem());
    expect(won).toHaveLength(1);
    expect(lost).toHaveLength(49);
    expect([...new Set(lost.map(({ code, executionContextId }) => `${code} ${executionContextId}`))]).toEqual([
      `CHECKOUT_IN_PROGRESS ${won[0]}`,
    ]);
    expect((await checkoutsOf(body.cart.cartId)).map(({ id }) => id)).toEqual(won);
  });
});
