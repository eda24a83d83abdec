/**
 * `npm run demo`: a real service, checkouts over HTTP, a kill -9 at the end of it, and the books.
 * Exits non-zero when a single number is wrong. Embedded database; DATABASE_URL and REDIS_URL are honoured.
 */
import { askForBooks, showBooks } from "./demo/books.ts";
import { DemoService } from "./demo/demo-service.ts";
import { headline, say, styled } from "./output.ts";
import { anotherMethod } from "./demo/scenes/another-method.ts";
import { cancelledThenPaid } from "./demo/scenes/cancelled.ts";
import { flakyProvider, paidAtOnce, priceChanged } from "./demo/scenes/in-one-go.ts";
import { killed } from "./demo/scenes/killed.ts";
import { paidLater } from "./demo/scenes/paid-later.ts";
import { signedWebhook } from "./demo/scenes/signed-webhook.ts";
import type { Played, Scene } from "./demo/watched-checkout.ts";

const SCENES: readonly (readonly [title: string, scene: Scene])[] = [
  ["Paid at once", paidAtOnce],
  ["Paid a second later: the client has its answer, the provider's event confirms", paidLater],
  ["The payment provider fails twice, then answers", flakyProvider],
  ["The card is declined, another method pays", anotherMethod],
  ["The price is not the one that the customer saw", priceChanged],
  ["The customer cancels, and the money comes two seconds later", cancelledThenPaid],
  ["A signed event from outside, delivered twice", signedWebhook],
  ["The money is taken, the provider's reply gets lost, and the service is killed (kill -9)", killed],
];

const DEMO_TIMEOUT_MS = 180_000;

async function main(service: DemoService): Promise<void> {
  say(styled("bold", "checkoutd, the demo"));
  say(`  ${service.settings}`);
  await service.start();
  const played: Played[] = [];
  for (const [index, [title, play]] of SCENES.entries()) {
    headline(`${index + 1}  ${title}`);
    played.push(...(await play(service)));
  }
  const told = await askForBooks(service, played);
  const ending = await service.kill("SIGTERM");
  const database = await service.openDatabase();
  let isRight = false;
  try {
    isRight = await showBooks(database, played, told);
  } finally {
    await database.close();
  }
  const isDrained = ending.code === 0;
  if (!isDrained) say(styled("red", `  The service did not drain: ${ending.signal ?? ending.code}`));
  if (isRight && isDrained) sayHowToGoOn();
  else process.exitCode = 1;
}

function sayHowToGoOn(): void {
  headline("Go on");
  say("  npm start            serves http://127.0.0.1:8080/ with a page that shows checkouts as they run");
  say("  DATABASE_URL=… REDIS_URL=… npm run demo    the same on your Postgres and Redis");
}

function fail(error: unknown): never {
  say(styled("red", `\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`));
  process.exit(1);
}

const service = new DemoService();
process.on("exit", () => service.discard());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
setTimeout(() => fail(new Error("It did not end in time.")), DEMO_TIMEOUT_MS).unref();
main(service).catch(fail);
