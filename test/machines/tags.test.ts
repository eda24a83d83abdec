import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { descendants } from "../../machines/contraction.ts";

test("the chart's tags are those from which a status is read", () => {
  const tags = new Set(descendants(checkoutMachine.root).flatMap((node) => node.tags));
  expect([...tags].sort()).toEqual(["awaitingPayment", "deferred", "finished", "insisting", "undoing"]);
});
