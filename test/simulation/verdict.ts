/** What is wrong with a run, a line each: with its checkouts one by one, and with all of them together. */
import { breachesOf, recordBreaches } from "../../scripts/invariants/breaches.ts";
import { isDeadline } from "../../runtime/engine.ts";
import { evidenceOf } from "./evidence.ts";
import type { Simulation } from "./simulation.ts";

export async function breachesOfRun(run: Simulation, isAtRest: boolean, isReplayed: boolean): Promise<readonly string[]> {
  const { store, troubles } = run;
  const parked = store.rows.filter(({ parkedReason }) => parkedReason !== null);
  return [
    ...troubles,
    ...parked.map(({ id, parkedReason }) => `${id} was parked: ${parkedReason}`),
    ...(isAtRest ? [] : [`it never comes to rest: ${store.rows.map(({ id, state }) => `${id} ${state}`).join(", ")}`]),
    ...(isAtRest ? await breachesOfCheckouts(run, isReplayed) : []),
    ...breachesOfCarts(run),
    ...(await breachesOfDeadlines(run)),
    ...(await breachesOfPublications(run)),
  ];
}

/** One by one, by the invariants that hold everywhere. */
async function breachesOfCheckouts(run: Simulation, isReplayed: boolean): Promise<readonly string[]> {
  const resting = run.store.rows.filter(({ parkedReason }) => parkedReason === null);
  const check = isReplayed ? breachesOf : recordBreaches;
  const breaches = resting.map(async ({ id }) => check(await evidenceOf(run, id)).map((line) => `${id} ${line}`));
  return [...(await Promise.all(breaches)).flat(), ...run.participants.effects.violations];
}

/** One completed checkout per version of a cart. */
function breachesOfCarts({ store }: Simulation): readonly string[] {
  const completed = store.rows
    .filter(({ state }) => state === "COMPLETED")
    .map(({ cartId, cartVersion }) => `${cartId} version ${cartVersion}`);
  const twice = completed.filter((cart, index) => completed.indexOf(cart) !== index);
  return twice.map((cart) => `${cart} was bought twice`);
}

/** Who paid before the deadline gets the order, or is told why not: time alone takes it from nobody. */
async function breachesOfDeadlines({ store, provider }: Simulation): Promise<readonly string[]> {
  const breaches = [...provider.paidAt].map(async ([id, paidAt]) => {
    const hasExpired = (await store.events(id)).some(
      ({ type, data }) => type === "checkout_rolled_back" && data["reason"] === "PAYMENT_EXPIRED",
    );
    const journal = await store.history(id, 0, Number.POSITIVE_INFINITY);
    const deadline = journal.find(({ event }) => isDeadline(event.type))?.at ?? 0;
    return hasExpired && paidAt < deadline ? [`${id} I25: it was paid in time, and expired`] : [];
  });
  return (await Promise.all(breaches)).flat();
}

/** Of each checkout: everything that was committed, in its order, and nothing else. The same may come again. */
async function breachesOfPublications({ store, bus }: Simulation): Promise<readonly string[]> {
  const breaches = await Promise.all(
    store.rows.map(async ({ id }) => {
      const committed = (await store.events(id)).map(({ eventSeq, type }) => `${id}:${eventSeq} ${type}`);
      const published = bus.stored
        .filter(({ subject }) => subject === id)
        .map((event) => `${event.id} ${event.type.replace("checkout.v1.", "")}`);
      const firsts = [...new Set(published)];
      return firsts.join() === committed.join() ? [] : [`${id} committed ${committed.join()} and published ${firsts.join()}`];
    }),
  );
  return breaches.flat();
}
