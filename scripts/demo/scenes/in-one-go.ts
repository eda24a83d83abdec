/** One request, one answer: the checkout runs to its end while its client waits. */
import type { DemoService } from "../demo-service.ts";
import { WatchedCheckout, type Played, type Scenario, type Scene } from "../watched-checkout.ts";

export const paidAtOnce: Scene = (service) =>
  playInOneGo(service, { name: "paid at once", instrumentId: "ins_sync_ok", outcome: "CONFIRMED" });

export const flakyProvider: Scene = (service) =>
  playInOneGo(service, { name: "flaky provider", instrumentId: "ins_flaky", outcome: "CONFIRMED" });

export const priceChanged: Scene = (service) =>
  playInOneGo(service, {
    name: "price changed",
    instrumentId: "ins_sync_ok",
    expectedTotal: 239_900,
    outcome: "ROLLED_BACK",
  });

async function playInOneGo(service: DemoService, scenario: Scenario): Promise<Played[]> {
  const checkout = await WatchedCheckout.begin(service, scenario);
  await checkout.tellAnswer(checkout.ask());
  return [{ scenario, executionContextId: checkout.executionContextId, wrongs: [] }];
}
