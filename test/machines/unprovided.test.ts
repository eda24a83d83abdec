import { createActor, toPromise, type AnyActorLogic } from "xstate";
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";

const actors = Object.entries(checkoutMachine.implementations.actors as Readonly<Record<string, AnyActorLogic>>);

test.each(actors)("%s refuses by its name where nobody provides it", async (name, logic) => {
  const actor = createActor(logic);
  actor.subscribe({ error: () => {} });
  actor.start();
  await expect(toPromise(actor)).rejects.toThrow(`No implementation of ${name} was provided`);
});
