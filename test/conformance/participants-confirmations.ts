/** What has no undo of its own: it builds on an effect that is in force, and a confirmation ends the time to undo it. */
import { expect } from "vitest";
import { CheckoutCalls, FOLLOW_UPS } from "./checkout-calls.ts";
import type { Open, State } from "./participants-under-test.ts";

type KnownFollowUp = (typeof FOLLOW_UPS)[number];

/** Whatever the code: only of a delayed original it is said. */
const REFUSED = { code: expect.any(String) as string };

export function confirmationConformance(open: Open, state: State): void {
  const newCheckout = () => new CheckoutCalls(open().services);

  for (const followUp of FOLLOW_UPS) {
    const { name, of } = followUp;
    const inForce = ({ id }: CheckoutCalls) => open().inForce(of, id);

    state(`${name} may come twice`, async () => {
      const checkout = await prepared(newCheckout(), followUp);
      const made = await inForce(checkout);
      const first = await checkout.follow(name);
      expect(await checkout.follow(name)).toEqual(first);
      expect(await inForce(checkout)).toBe(made);
    });

    state(`${name} is refused where nothing was done, whatever another checkout did`, async () => {
      await prepared(newCheckout(), followUp);
      await expect(newCheckout().follow(name)).rejects.toMatchObject(REFUSED);
    });

    state(`${name} is refused after the undo of ${of}, and brings nothing back`, async () => {
      const checkout = await prepared(newCheckout(), followUp);
      await checkout.undo(of);
      await expect(checkout.follow(name)).rejects.toMatchObject(REFUSED);
      expect(await inForce(checkout)).toBe(0);
    });

    state(`${name} leaves another checkout's ${of} to be undone`, async () => {
      const [mine, theirs] = [await prepared(newCheckout(), followUp), await prepared(newCheckout(), followUp)];
      await theirs.follow(name);
      for (const needed of followUp.needs) if (needed === "hydratePaymentAndUpdateLineItems") await mine.undo(needed);
      expect(await mine.undo(of)).toEqual({ conflicts: [] });
      expect(await inForce(mine)).toBe(0);
    });

    if (followUp.isConfirmation) {
      state(`${name} makes ${of} last: its undo says so and leaves it`, async () => {
        const checkout = await prepared(newCheckout(), followUp);
        const made = await inForce(checkout);
        await checkout.follow(name);
        expect((await checkout.undo(of)).conflicts.length).toBeGreaterThan(0);
        expect(await inForce(checkout)).toBe(made);
      });
      for (const needed of followUp.needs) {
        state(`${name} is refused before ${needed}`, async () => {
          const checkout = newCheckout();
          await checkout.performed(of);
          await expect(checkout.follow(name)).rejects.toMatchObject(REFUSED);
          expect(await checkout.undo(of)).toEqual({ conflicts: [] });
        });
      }
    }
  }

  state("confirmLineItems is refused after the undo of hydratePaymentAndUpdateLineItems", async () => {
    const checkout = newCheckout();
    await checkout.performed("hydratePaymentAndUpdateLineItems");
    await checkout.undo("hydratePaymentAndUpdateLineItems");
    await expect(checkout.follow("confirmLineItems")).rejects.toMatchObject(REFUSED);
  });
}

/** Everything is done that comes before it. */
async function prepared(checkout: CheckoutCalls, { of, needs }: KnownFollowUp): Promise<CheckoutCalls> {
  await checkout.performed(of);
  for (const needed of needs) await checkout.follow(needed);
  return checkout;
}
