/** What is wrong with a run, a line each: with its checkouts one by one, and with all of them together. */
import { breachesOf, recordBreaches } from "../../scripts/invariants/breaches.ts";
import { evidenceOf } from "./evidence.ts";
import { misfitOf } from "../support/misfit.ts";
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
    ...run.broker.messages.flatMap(({ event }) => misfitOf(event) ?? []),
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

/** Who had paid when the provider was asked for the last time gets the order, unless it was cancelled or can't be had. */
async function breachesOfDeadlines({ store, provider }: Simulation): Promise<readonly string[]> {
  const breaches = [...provider.paidAt].map(async ([id, paidAt]) => {
    const reason = (await store.events(id)).find(({ type }) => type === "checkout_rolled_back")?.data["reason"];
    const journal = await store.history(id, 0, Number.POSITIVE_INFINITY);
    const asked = journal.find(({ from, to }) => /settling/.test(from ?? "") && /asking|undoing/.test(to))?.at ?? 0;
    const isLost = (reason === "PAYMENT_EXPIRED" || reason === "PAYMENT_DECLINED") && paidAt < asked;
    return isLost ? [`${id} I25: it was paid in time, and rolled back for ${reason}`] : [];
  });
  return (await Promise.all(breaches)).flat();
}

/** Of each checkout, as any client of the broker reads it: everything that was committed, in its order, each once. */
async function breachesOfPublications({ store, broker }: Simulation): Promise<readonly string[]> {
  const breaches = await Promise.all(
    store.rows.map(async ({ id }) => {
      const committed = (await store.events(id)).map(({ eventSeq, type }) => `${id}:${eventSeq} ${type}`);
      const published = broker.messages
        .filter(({ event }) => event.subject === id)
        .map(({ event }) => `${event.id} ${event.type.replace("checkout.v1.", "")}`);
      return published.join() === committed.join()
        ? []
        : [`${id} committed ${committed.join()} and published ${published.join()}`];
    }),
  );
  return breaches.flat();
}
