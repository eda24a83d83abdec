/**
 * `npm run demo`: a real service, checkouts over HTTP, a kill -9 in the middle, and the books at the end.
 * Exits non-zero when a single number is wrong. Embedded database; DATABASE_URL and REDIS_URL are honoured.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbedded } from "../persistence/embedded-database.ts";
import { connectPostgres } from "../persistence/postgres-database.ts";
import { auditCheckout, type Audit, type Outcome } from "./checkout-audit.ts";
import { exampleRequest, follow, getCheckout, initiate, isEnding, type Answer } from "./demo/client.ts";
import { amount, headline, Narrator, remark, say, styled, table } from "./demo/narration.ts";
import { spawnService, type ServiceProcess } from "./service-process.ts";

interface Scenario {
  readonly name: string;
  readonly instrumentId: string;
  /** What the customer was shown; another total than the invoice's is refused. */
  readonly expectedTotal?: number;
  readonly outcome: Outcome;
}

interface Played {
  readonly scenario: Scenario;
  readonly executionContextId: string;
}

/** On Postgres a dead node's lease must end first (10 s); a client's patience is limited to 30 s. */
const CLIENT_WAIT_SECONDS = 25;
/** The back-off into which the kill aims is over after 0.1 s at the least: on a busy machine it may be missed. */
const KILL_TRIES_MAX = 3;
const DEMO_TIMEOUT_MS = 180_000;

const databaseUrl = process.env["DATABASE_URL"] || null;
const redisUrl = process.env["REDIS_URL"] || null;
const directory = mkdtempSync(join(tmpdir(), "checkoutd-demo-"));
const dataDirectory = join(directory, "data");
let service: ServiceProcess | undefined;

async function main(): Promise<void> {
  say(styled("bold", "checkoutd, the demo"));
  say(
    `  ${databaseUrl === null ? `embedded database in ${directory}` : "Postgres"}${redisUrl === null ? "" : ", locks in Redis"}`,
  );
  let url = await start();
  const played: Played[] = [];
  headline("1  Paid at once");
  played.push(await play(url, { name: "paid at once", instrumentId: "ins_sync_ok", outcome: "CONFIRMED" }));
  headline("2  The payment provider fails twice, then answers");
  played.push(await play(url, { name: "flaky provider", instrumentId: "ins_flaky", outcome: "CONFIRMED" }));
  headline("3  The price is not the one that the customer saw");
  const shown = { expectedTotal: 239_900, outcome: "ROLLED_BACK" } as const;
  played.push(await play(url, { name: "price changed", instrumentId: "ins_sync_ok", ...shown }));
  headline("4  The money is taken, the provider's reply gets lost, and the service is killed (kill -9)");
  for (let tries = 1, isMissed = true; isMissed && tries <= KILL_TRIES_MAX; tries++) {
    const killed = await playKill(url, { name: "killed in STEP_5", instrumentId: "ins_reply_lost", outcome: "CONFIRMED" });
    played.push(killed);
    ({ url, isMissed } = killed);
  }
  await showBooks(url, played);
}

async function start(): Promise<string> {
  const database = databaseUrl === null ? { DATA_DIR: dataDirectory } : { DATABASE_URL: databaseUrl };
  service = spawnService({ env: { ...database, ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }) } });
  const url = await service.url();
  say(`  process ${service.pid} serves ${url}`);
  return url;
}

async function play(url: string, scenario: Scenario): Promise<Played> {
  const { id, ask } = await begin(url, scenario);
  const answer = ask(url);
  // Reported where it is awaited, also when the stream breaks first.
  answer.catch(() => undefined);
  await tell(url, id, new Narrator(), 0);
  sayAnswer(await answer);
  return { scenario, executionContextId: id };
}

/** Kills the service as soon as the stream shows that it backs off: the ledger has a capture that nobody was told of. */
async function playKill(url: string, scenario: Scenario): Promise<Played & { readonly url: string; readonly isMissed: boolean }> {
  const { id, ask } = await begin(url, scenario);
  const cut = ask(url).then(
    () => "the client was answered",
    () => "the client's connection breaks; it can't know whether it paid",
  );
  const narrator = new Narrator();
  const seen = await tell(url, id, narrator, 0, "STEP_5.backingOff");
  const killed = service;
  const { signal } = (await killed?.kill("SIGKILL")) ?? { signal: null };
  const killedAt = Date.now();
  remark(`process ${killed?.pid} is gone: ${signal}`, "red");
  remark(await cut, "red");
  if (databaseUrl !== null) remark("the next node takes over when the dead one's lease has ended, after 10 s at most");
  const nextUrl = await start();
  remark("the client sends the same request with the same key");
  const answer = ask(nextUrl);
  answer.catch(() => undefined);
  const next = { at: 0 };
  await tell(nextUrl, id, narrator, seen, undefined, (at) => (next.at ||= at));
  sayAnswer(await answer);
  const isMissed = next.at < killedAt;
  if (isMissed) remark("The checkout was faster than the kill this time.", "yellow");
  return { scenario, executionContextId: id, url: nextUrl, isMissed };
}

/** The first request does not wait: it gets the id, with which the stream is followed while the same key asks again. */
async function begin(url: string, { instrumentId, expectedTotal }: Scenario) {
  const request = exampleRequest(`cart_${randomUUID()}`, instrumentId, expectedTotal);
  const key = randomUUID();
  const { httpStatus, body } = await initiate(url, key, request, 0);
  if (body.executionContextId === undefined) throw new Error(`initiate answered ${httpStatus}: ${JSON.stringify(body)}`);
  return { id: body.executionContextId, ask: (at: string) => initiate(at, key, request, CLIENT_WAIT_SECONDS) };
}

/** Tells the transitions until the checkout ends or comes to `until`; the seq of the last one. */
async function tell(
  url: string,
  id: string,
  narrator: Narrator,
  afterSeq: number,
  until?: string,
  onTold: (at: number) => void = () => {},
): Promise<number> {
  const stop = new AbortController();
  try {
    for await (const transition of follow(url, id, afterSeq, stop.signal)) {
      narrator.tell(transition);
      onTold(Date.parse(transition.at));
      if (isEnding(transition) || (until !== undefined && transition.to.endsWith(until))) return transition.seq;
    }
    throw new Error(`The stream of ${id} ended before the checkout did.`);
  } finally {
    stop.abort();
  }
}

function sayAnswer({ httpStatus, body }: Answer): void {
  const { code, rollback, invoice, status } = body;
  const what = code === undefined ? status : `${code}, rollback ${rollback}`;
  remark(`→ ${httpStatus} ${what}  ${body.executionContextId}`, httpStatus < 400 ? "green" : "yellow");
  if (code === "PRICE_CHANGED" && invoice) {
    remark(`  the new invoice says ${amount(invoice.payable, invoice.currency)}; the customer is shown it and decides`);
  }
}

/** The API's word, then, the service stopped, the database's: both must agree with each other and with what was expected. */
async function showBooks(url: string, played: readonly Played[]): Promise<void> {
  headline("The books");
  const told = await Promise.all(played.map(({ executionContextId }) => getCheckout(url, executionContextId)));
  const ending = await service?.kill("SIGTERM");
  const database = databaseUrl === null ? await openEmbedded(dataDirectory) : connectPostgres(databaseUrl);
  const audits: Audit[] = [];
  try {
    for (const { scenario, executionContextId } of played) {
      audits.push(await auditCheckout(database, executionContextId, scenario.outcome));
    }
  } finally {
    await database.close();
  }
  const wrongs = audits.map((audit, index) => {
    const { payment, status } = told[index] ?? {};
    const isAgreed = payment?.capturedAmount === audit.captured && payment.refundedAmount === audit.refunded;
    const isExpected = status === played[index]?.scenario.outcome;
    return [...audit.violations, ...(isAgreed && isExpected ? [] : [`the API says ${status}, ${JSON.stringify(payment)}`])];
  });
  printBooks(played, audits, wrongs);
  const isDrained = ending?.code === 0;
  if (!isDrained) say(styled("red", `  The service did not drain: ${ending?.signal ?? ending?.code}`));
  if (!isDrained || wrongs.some((wrong) => wrong.length > 0)) process.exitCode = 1;
  else sayHowToGoOn();
}

function printBooks(played: readonly Played[], audits: readonly Audit[], wrongs: readonly (readonly string[])[]): void {
  const rows = audits.map(({ payable, currency, captured, refunded, orderStatus }, index) => {
    const wrong = wrongs[index] ?? [];
    const money = [payable ?? 0, captured, refunded].map((minor) => amount(minor, currency));
    const right = played[index]?.scenario.outcome === "CONFIRMED" ? "right: captured exactly once" : "right: nothing is left";
    const verdict = wrong.length === 0 ? right : `WRONG: ${wrong.join("; ")}`;
    const cells = [played[index]?.scenario.name ?? "", ...money, orderStatus ?? "none", verdict];
    return { cells, style: wrong.length === 0 ? ("green" as const) : ("red" as const) };
  });
  table(["checkout", "payable", "captured", "refunded", "order", "verdict"], rows);
  say(styled("dim", "  Read from the provider's ledger, and held against journal, outbox, orders and the API."));
}

function sayHowToGoOn(): void {
  headline("Go on");
  say("  npm start            serves http://127.0.0.1:8080/ with a page that shows checkouts as they run");
  say("  DATABASE_URL=… REDIS_URL=… npm run demo    the same on your Postgres and Redis");
}

/** Whatever way we end, no process and no file stays behind. */
process.on("exit", () => {
  try {
    if (service !== undefined) process.kill(service.pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
setTimeout(() => fail(new Error("The demo did not end in time.")), DEMO_TIMEOUT_MS).unref();

function fail(error: unknown): never {
  say(styled("red", `\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`));
  process.exit(1);
}

main().catch(fail);
