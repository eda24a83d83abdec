/** An effect happens once per key, is undone by that key, and never comes back. */
import { expect } from "vitest";
import { CheckoutCalls, UNDOABLE_OPERATIONS } from "./checkout-calls.ts";
import type { Open, State } from "./participants-under-test.ts";

const UNDONE = { class: "TERMINAL", code: "UNDONE" };
const NO_CONFLICT = { conflicts: [] };

export function effectConformance(open: Open, state: State): void {
  const newCheckout = () => new CheckoutCalls(open().services);

  for (const operation of UNDOABLE_OPERATIONS) {
    const inForce = ({ id }: CheckoutCalls) => open().inForce(operation, id);

    state(`${operation} takes effect once per key and answers the same again`, async () => {
      const checkout = newCheckout();
      expect(await inForce(checkout)).toBe(0);
      const first = await checkout.performed(operation);
      const made = await inForce(checkout);
      expect(made).toBeGreaterThan(0);
      expect(await checkout.perform(operation)).toEqual(first);
      expect(await inForce(checkout)).toBe(made);
    });

    state(`${operation} takes effect once when the same call comes twice at a time`, async () => {
      const [once, twice] = [newCheckout(), newCheckout()];
      await Promise.all([once.performed(operation), twice.performed(operation)]);
      const [first, second] = await Promise.all([twice.perform(operation), twice.perform(operation)]);
      expect(second).toEqual(first);
      expect(await inForce(twice)).toBe(await inForce(once));
    });

    state(`${operation} is undone by its key, and a second undo says and changes nothing else`, async () => {
      const checkout = newCheckout();
      await checkout.performed(operation);
      expect(await checkout.undo(operation)).toEqual(NO_CONFLICT);
      expect(await inForce(checkout)).toBe(0);
      expect(await checkout.undo(operation)).toEqual(NO_CONFLICT);
      expect(await inForce(checkout)).toBe(0);
    });

    state(`${operation} is refused under its key once it is undone`, async () => {
      const checkout = newCheckout();
      await checkout.performed(operation);
      await checkout.undo(operation);
      await expect(checkout.perform(operation)).rejects.toMatchObject(UNDONE);
      expect(await inForce(checkout)).toBe(0);
    });

    state(`${operation} is refused when it comes after its own undo, which found nothing`, async () => {
      const checkout = newCheckout();
      if (operation === "hydratePaymentAndUpdateLineItems") await checkout.perform("upsertLineItems");
      expect(await checkout.undo(operation)).toEqual(NO_CONFLICT);
      expect(await checkout.undo(operation)).toEqual(NO_CONFLICT);
      await expect(checkout.perform(operation)).rejects.toMatchObject(UNDONE);
      expect(await inForce(checkout)).toBe(0);
    });

    state(`${operation} leaves nothing when it and its undo come at a time`, async () => {
      const checkout = newCheckout();
      if (operation === "hydratePaymentAndUpdateLineItems") await checkout.perform("upsertLineItems");
      const [original, undo] = await Promise.allSettled([checkout.perform(operation), checkout.undo(operation)]);
      if (original.status === "rejected") expect(original.reason).toMatchObject(UNDONE);
      expect(undo).toMatchObject({ status: "fulfilled", value: NO_CONFLICT });
      expect(await inForce(checkout)).toBe(0);
      await expect(checkout.perform(operation)).rejects.toMatchObject(UNDONE);
    });

    state(`${operation} stays in force when another checkout's is undone`, async () => {
      const [mine, theirs] = [newCheckout(), newCheckout()];
      const first = await mine.performed(operation);
      await theirs.performed(operation);
      const made = await inForce(mine);
      await theirs.undo(operation);
      await newCheckout().undo(operation);
      expect(await inForce(theirs)).toBe(0);
      expect(await inForce(mine)).toBe(made);
      expect(await mine.perform(operation)).toEqual(first);
    });
  }

  state("one key under several operations is another call for each, undone on its own", async () => {
    const checkout = newCheckout();
    for (const operation of UNDOABLE_OPERATIONS) await checkout.perform(operation, "STEP");
    const books = async () => {
      const counts = UNDOABLE_OPERATIONS.map(
        async (operation) => [operation, await open().inForce(operation, checkout.id)] as const,
      );
      return new Map(await Promise.all(counts));
    };
    const expected = await books();
    expect([...expected.values()].every((made) => made > 0)).toBe(true);
    for (const operation of UNDOABLE_OPERATIONS.toReversed()) {
      await checkout.undo(operation, "STEP");
      expect(await books()).toEqual(expected.set(operation, 0));
    }
  });
}
