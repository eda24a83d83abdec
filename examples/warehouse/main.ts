/**
 * `NATS_URL=nats://127.0.0.1:4222 DATA_DIR=warehouse-data npx tsx examples/warehouse/main.ts`: another team's service. It reserves
 * line items that are confirmed and releases those that are reverted, each once, whatever is delivered again.
 */
import { subscribe } from "../../subscribe/subscribe.ts";
import { lineItemIdsOf, Warehouse } from "./warehouse.ts";

const { NATS_URL = "nats://127.0.0.1:4222", DATA_DIR = "warehouse-data" } = process.env;
const say = (line: string) => void process.stdout.write(`${line}\n`);

const warehouse = await Warehouse.open(DATA_DIR);
const subscribing = subscribe({
  servers: NATS_URL,
  durable: "warehouse",
  types: ["line_items_confirmed", "line_items_reverted"],
  progress: warehouse,
  handler: async (event, delivery) => {
    await warehouse.handle(event, delivery);
    say(`${event.id}  ${event.type.slice("checkout.v1.".length)}  ${lineItemIdsOf(event).join(" ")}`);
  },
  onError: (error, { eventId = "", attempt = 1 }) => say(`${eventId} attempt ${attempt}: ${String(error)}`),
  onGap: ({ checkout, missing, times }) =>
    say(`${checkout} misses ${missing.from} to ${missing.to}, told ${times} times: call the checkout's team`),
  onDeadLetter: ({ subject, outcome, error }) => say(`${subject} ${outcome}: ${String(error)}`),
});
const subscription = await subscribing.catch(async (error: unknown) => {
  say(`The warehouse can't subscribe at ${new URL(NATS_URL).host}: ${String(error)}`);
  await warehouse.close();
  process.exit(69);
});
say("the warehouse is open");

process.once("SIGTERM", () => void subscription.stop());
const failure = await subscription.closed;
await warehouse.close();
if (failure !== null) say(failure.message);
process.exitCode = failure === null ? 0 : 69;
