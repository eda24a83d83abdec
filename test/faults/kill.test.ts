/**
 * kill -9 at every step and every undo, before the effect and after it but before the commit that would
 * remember it, twice in a row at the same place. Real processes, real databases; the books are read afterwards.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditCheckout, type Audit, type Outcome } from "../../scripts/checkout-audit.ts";
import { exampleRequest, initiate, type Answer } from "../../scripts/demo/client.ts";
import type { ServiceProcess } from "../../scripts/service-process.ts";
import { compiled } from "../support/compiled.ts";
import type { HoldOrder } from "../support/crash-main.ts";
import { describeOn } from "../support/server.ts";
import { embeddedHome, postgresHome, type ServiceHome } from "../support/service-process.ts";

/** How a checkout comes to the points at which it is killed. */
interface Story {
  readonly instrumentId: string;
  readonly expectedTotal?: number;
  readonly failAt?: string;
  readonly outcome: Outcome;
  readonly httpStatus: number;
  readonly points: readonly string[];
}

interface Case extends Omit<Story, "points"> {
  readonly point: string;
  readonly phase: HoldOrder["phase"];
  readonly key: string;
  readonly request: ReturnType<typeof exampleRequest>;
}

const PAID: Story = {
  instrumentId: "ins_sync_ok",
  outcome: "CONFIRMED",
  httpStatus: 200,
  points: [
    "resolveFeatureFlags",
    "createPaymentGroup",
    "acquireLocks",
    "createPostSellingPreferences",
    "getLineItemSummary",
    "createCheckoutOrder",
    "handleOptinCreationAndModification",
    "upsertLineItemsAndCreatePaymentRequest",
    "hydratePaymentAndUpdateLineItems",
    "createPreferencesToLineItemsMapping",
    "produceLineItemsUpdatedEvent",
    "executePCRSuccessSteps",
    "produceLineItemsConfirmedEvent",
  ],
};

const PRICE_CHANGED: Story = {
  instrumentId: "ins_sync_ok",
  expectedTotal: 249_901,
  outcome: "ROLLED_BACK",
  httpStatus: 409,
  points: undos("invoice", "preferences", "paymentGroups"),
};

/** The money is captured in STEP_5, then STEP_7 fails for good: the longest way back, with a refund in it. */
const FAILED_AFTER_CAPTURE: Story = {
  instrumentId: "ins_sync_ok",
  failAt: "createPreferencesToLineItemsMapping",
  outcome: "ROLLED_BACK",
  httpStatus: 502,
  points: undos(
    "preferencesMapping",
    "paymentHydration",
    "paymentRequest",
    "lineItems",
    "optIns",
    "order",
    "invoice",
    "preferences",
    "paymentGroups",
  ),
};

/** The one way to undo STEP_8 without an operator's hand: the only attempt is declined. */
const DECLINED: Story = {
  instrumentId: "ins_decline",
  outcome: "ROLLED_BACK",
  httpStatus: 422,
  points: undos("lineItemsUpdatedEvent"),
};

/** One attempt only, so that a decline is final. */
const ENV = { PAYMENT_ATTEMPTS_MAX: "1" };
const CRASH_ENTRY = new URL("../support/crash-main.ts", import.meta.url);
/** On Postgres, a dead node's lease (10 s) must end before each take-over. */
const CRASH_TIMEOUT_MS = 60_000;
const CLIENT_WAIT_SECONDS = 30;
const SUITE_TIMEOUT_MS = 180_000;

/** A plain run kills on Postgres alone: what is embedded is drained and taken up again in lifecycle.test.ts all the same. */
const isFull = process.env["TEST_FULL"] === "1";
if (!isFull) process.stdout.write("  kill -9: on Postgres alone (npm run test:full kills embedded too)\n");
describe.runIf(isFull)("on the embedded database", () => {
  killEverywhere(() => embeddedHome());
});

describeOn("postgres", "on Postgres", (postgresUrl) =>
  describeOn("redis", "with locks in Redis", (redisUrl) => killEverywhere(() => postgresHome(postgresUrl, redisUrl))),
);

function killEverywhere(openHome: () => Promise<ServiceHome>): void {
  const cases = [PAID, PRICE_CHANGED, FAILED_AFTER_CAPTURE, DECLINED].flatMap(casesOf);
  const answers = new Map<Case, Answer>();
  const repeated = new Map<Case, Answer>();
  const audits = new Map<Case, Audit>();
  let home: ServiceHome;

  beforeAll(async () => {
    const begunAt = performance.now();
    home = await openHome();
    const ids = await crashWith(home, cases, (service) => begin(service, cases));
    await crashWith(home, cases, () => Promise.resolve(ids), "after");
    const service = home.spawn({ env: ENV });
    await ask(service, cases, answers);
    await ask(service, cases, repeated);
    await expect(service.kill("SIGTERM")).resolves.toMatchObject({ code: 0 });
    await home.inspect(async (database) => {
      for (const [index, one] of cases.entries()) audits.set(one, await auditCheckout(database, ids[index] ?? "", one.outcome));
    });
    const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
    process.stdout.write(`  ${cases.length} points, each killed twice, in ${seconds} s\n`);
  }, SUITE_TIMEOUT_MS);
  afterAll(() => home.remove());

  test.each(cases)("is $outcome, its books in order, when killed $phase the effect of $point ($httpStatus)", (one) => {
    expect(answers.get(one)).toMatchObject({ httpStatus: one.httpStatus });
    expect(audits.get(one)?.violations).toEqual([]);
    const { captured = -1, refunded = -1, payable } = audits.get(one) ?? {};
    if (one.outcome === "CONFIRMED") expect(captured - refunded).toBe(payable);
    else expect(captured).toBe(refunded);
    expect(captured).toBe(one.outcome === "CONFIRMED" || one.failAt !== undefined ? 249_900 : 0);
  });

  test("repeats every answer word for word", () => {
    for (const one of cases) {
      expect(repeated.get(one)?.isReplay).toBe(true);
      expect(repeated.get(one)?.body).toEqual(answers.get(one)?.body);
    }
  });

  test("frees every slot that a rollback gave back, and no other", async () => {
    const [stock] = await home.inspect((database) =>
      database.rows<{ taken: number }>("select sum(taken)::int as taken from checkoutd.slot_stock"),
    );
    expect(stock?.taken).toBe(cases.filter(({ outcome }) => outcome === "CONFIRMED").length);
  });
}

function undos(...names: readonly string[]): string[] {
  return names.map((name) => `handleRollback:${name}`);
}

function casesOf({ points, ...story }: Story): Case[] {
  return points.flatMap((point) =>
    (["before", "after"] as const).map((phase) => ({
      ...story,
      point,
      phase,
      key: randomUUID(),
      request: exampleRequest(`cart_${randomUUID()}`, story.instrumentId, story.expectedTotal),
    })),
  );
}

/** Holds every checkout at its point; when the last one has come there, the process kills itself. */
async function crashWith(
  home: ServiceHome,
  cases: readonly Case[],
  idsOf: (service: ServiceProcess) => Promise<readonly string[]>,
  phase?: HoldOrder["phase"],
): Promise<readonly string[]> {
  const service = home.spawn({ entry: await compiled(CRASH_ENTRY), env: { ...ENV, CRASH_WHEN_HELD: String(cases.length) } });
  await service.url();
  const ids = await idsOf(service);
  for (const [index, one] of cases.entries()) {
    const failAt = one.failAt === undefined ? {} : { failAt: one.failAt };
    const order: HoldOrder = { executionContextId: ids[index] ?? "", point: one.point, phase: phase ?? one.phase, ...failAt };
    service.tell(JSON.stringify(order));
  }
  const timer = setTimeout(() => void service.kill("SIGTERM"), CRASH_TIMEOUT_MS);
  const { signal, output } = await service.ended;
  clearTimeout(timer);
  if (signal !== "SIGKILL") throw new Error(`Not every checkout came to its point:\n${output}`);
  return ids;
}

/** Nobody waits for an answer: the checkouts stand still until they are told where to be killed. */
async function begin(service: ServiceProcess, cases: readonly Case[]): Promise<readonly string[]> {
  const url = await service.url();
  const begun = await Promise.all(cases.map(({ key, request }) => initiate(url, key, request, 0)));
  return begun.map(({ httpStatus, body }) => {
    expect({ httpStatus, code: body.code }).toEqual({ httpStatus: 503, code: "RETRY_SCHEDULED" });
    return body.executionContextId;
  });
}

/** The client's retry: the same request under the same key. */
async function ask(service: ServiceProcess, cases: readonly Case[], answers: Map<Case, Answer>): Promise<void> {
  const url = await service.url();
  await Promise.all(cases.map(async (one) => answers.set(one, await initiate(url, one.key, one.request, CLIENT_WAIT_SECONDS))));
}
