/** kill -9 while the provider holds money that nobody was told of: the next process goes on, under the same keys. */
import { isEnding } from "../client.ts";
import type { DemoService } from "../demo-service.ts";
import { remark } from "../../output.ts";
import { WatchedCheckout, type Played, type Scenario, type Scene } from "../watched-checkout.ts";

/** The back-off into which the kill aims is over after 0.1 s at the least: on a busy machine it may be missed. */
const KILL_TRIES_MAX = 3;

export const killed: Scene = async (service) => {
  const played: Played[] = [];
  for (let tries = 1; tries <= KILL_TRIES_MAX; tries++) {
    const { isMissed, ...one } = await playKill(service);
    played.push(one);
    if (!isMissed) break;
    remark("The checkout was faster than the kill this time.", "yellow");
  }
  return played;
};

/** Kills the service as soon as the stream shows that it backs off. */
async function playKill(service: DemoService): Promise<Played & { readonly isMissed: boolean }> {
  const scenario: Scenario = { name: "killed in STEP_5", instrumentId: "ins_reply_lost", outcome: "CONFIRMED" };
  const checkout = await WatchedCheckout.begin(service, scenario);
  const cut = checkout.ask().then(
    () => "the client was answered",
    () => "the client's connection breaks; it can't know whether it paid",
  );
  await checkout.tell((one) => isEnding(one) || one.to.endsWith("STEP_5.backingOff"));
  const { pid, signal } = await service.kill("SIGKILL");
  const killedAt = Date.now();
  remark(`process ${pid} is gone: ${signal}`, "red");
  remark(await cut, "red");
  if (service.isOnPostgres) remark("the next node takes over when the dead one's lease has ended, after 10 s at most");
  await service.start();
  remark("the client sends the same request with the same key");
  const next = { at: 0 };
  await checkout.tellAnswer(checkout.ask(), (one) => {
    next.at ||= Date.parse(one.at);
    return isEnding(one);
  });
  return { scenario, executionContextId: checkout.executionContextId, wrongs: [], isMissed: next.at < killedAt };
}
