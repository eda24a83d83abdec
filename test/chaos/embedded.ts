/** One service on the embedded database, killed again and again while it works on a few checkouts of its own. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ending, ServiceProcess } from "../../scripts/service-process.ts";
import { seededChance, type Chance } from "../support/chance.ts";
import { clientOf, order } from "../support/client.ts";
import { unrest } from "../support/payment-books.ts";
import { embeddedHome, type ServiceHome } from "../support/service-process.ts";
import { PatientClient } from "./patient-client.ts";
import { Tally } from "./tally.ts";
import { breachesInDatabase } from "./verdict.ts";

/** All of them are confirmed in the end. */
const INSTRUMENTS = ["ins_sync_ok", "ins_reply_lost", "ins_async_ok", "ins_double", "ins_flaky"];
const EACH_LIFE = 2;
/** In the middle of what it was just asked to do. */
const LIFE_MAX_MS = 400;
const LOOK_MS = 100;
/** Orderly lives after the last kill until nothing goes on any more: a provider tells of some payments twice, seconds apart. */
const QUIET_LIVES_MAX = 5;
const QUIET_LIFE_MS = 1_000;

export interface EmbeddedRun {
  readonly kills: number;
  readonly checkouts: number;
  /** Times that one was taken up again by the next process. */
  readonly resumed: number;
  readonly breaches: readonly string[];
}

export async function killEmbedded(seed: number, kills: number): Promise<EmbeddedRun> {
  const home = await embeddedHome();
  try {
    return await new Lives(home, seed).run(kills);
  } finally {
    await home.remove();
  }
}

class Lives {
  readonly #chance: Chance;
  readonly #tally = new Tally();
  readonly #client = new PatientClient({ any: () => (this.#url === null ? undefined : { url: this.#url }) });
  readonly #confirmed: Promise<void>[] = [];
  #url: string | null = null;
  #lives = 0;

  constructor(
    private readonly home: ServiceHome,
    seed: number,
  ) {
    this.#chance = seededChance(seed);
  }

  async run(kills: number): Promise<EmbeddedRun> {
    const troubles: string[] = [];
    for (let kill = 1; kill <= kills; kill++) {
      const service = await this.#begin();
      for (let number = 1; number <= EACH_LIFE; number++) this.#buy();
      await sleep(Math.round(this.#chance() * LIFE_MAX_MS));
      await this.#end(service, "SIGKILL");
    }
    let restless: readonly string[] = ["never looked at"];
    for (let life = 1; life <= QUIET_LIVES_MAX && restless.length > 0; life++) {
      const service = await this.#begin();
      const answers = await Promise.allSettled(this.#confirmed);
      for (const answer of answers) if (answer.status === "rejected") troubles.push(String(answer.reason));
      await sleep(QUIET_LIFE_MS);
      const { code } = await this.#end(service, "SIGTERM");
      if (code !== 0) troubles.push(`it did not drain: ${code}`);
      restless = await this.home.inspect(unrest);
    }
    const breaches = [...new Set(troubles), ...restless, ...(await this.home.inspect(breachesInDatabase))];
    return {
      kills,
      checkouts: this.#confirmed.length,
      resumed: this.#tally.sums.checkouts_resumed,
      breaches: breaches.map((line) => `embedded: ${line}`),
    };
  }

  async #begin(): Promise<ServiceProcess> {
    const service = this.home.spawn();
    this.#url = await service.url();
    this.#lives++;
    return service;
  }

  async #end(service: ServiceProcess, signal: NodeJS.Signals): Promise<Ending> {
    await this.#tally.look({ name: `life ${this.#lives}`, url: this.#url });
    this.#url = null;
    return service.kill(signal);
  }

  /** In whichever lives it takes. Its rejection is told in the end. */
  #buy(): void {
    const bought = this.#isConfirmed(INSTRUMENTS[this.#confirmed.length % INSTRUMENTS.length]);
    bought.catch(() => undefined);
    this.#confirmed.push(bought);
  }

  async #isConfirmed(instrumentId: string | undefined): Promise<void> {
    const shop = clientOf(this.#client);
    const [body, key] = [order(instrumentId), randomUUID()];
    let answer = await shop.initiate(body, { key });
    while (answer.status === 503) answer = await shop.initiate(body, { key });
    if (answer.status !== 200) throw new Error(`${instrumentId} was answered ${answer.status}: ${answer.text}`);
    const { executionContextId } = answer.checkout();
    while ((await shop.get(executionContextId)).checkout().status !== "CONFIRMED") await sleep(LOOK_MS);
  }
}
