/**
 * The public threads that are numbered under payments in the hard cases, and some of the cases without one: each one's
 * order of events on a real node. It holds on the product, and ends wrong, as it did there, on a node from which the
 * guard that stands in its way was taken out.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import { REFUND_THREADS } from "../support/refund-threads.ts";
import { differencesOnReplay } from "../support/replay.ts";
import type { ServiceOptions } from "../support/service.ts";
import { SETTLEMENT_THREADS } from "../support/settlement-threads.ts";
import { openEmbeddedStage, type Stage } from "../support/stage.ts";
import { openDesk } from "../support/thread-desk.ts";
import type { Thread } from "../support/thread.ts";

const THREADS: readonly Thread[] = [...SETTLEMENT_THREADS, ...REFUND_THREADS];

function asBuilt({ aroundProvider }: Pick<Thread, "aroundProvider">): ServiceOptions {
  return aroundProvider === undefined ? {} : { aroundProvider };
}

function onBareStage(): () => Stage {
  let stage: Stage | undefined;
  beforeAll(async () => {
    stage = await openEmbeddedStage();
  });
  afterAll(() => stage?.close());
  return () => {
    if (stage === undefined) throw new Error("The stage is open inside tests and hooks only.");
    return stage;
  };
}

describe("as the product is", () => {
  const stage = onBareStage();

  test.each(THREADS)("$thread: $name", async ({ play, policy, ...around }) => {
    const desk = await openDesk(stage(), asBuilt(around), policy);
    onTestFinished(() => desk.close());
    expect(await play(desk)).toEqual([]);
  });

  test("each of these checkouts ended right in every book, and its journal replays", async () => {
    const ended = await stage().database.rows<{ id: string; state: string }>(
      `select id, state from checkoutd.contexts c
        where (select count(*) from checkoutd.provider_captures where context_id = c.id) = 1 order by id`,
    );
    for (const { id, state } of ended) {
      const { violations } = await auditCheckout(stage().database, id, state === "COMPLETED" ? "CONFIRMED" : "ROLLED_BACK");
      expect(violations).toEqual([]);
    }
    expect(await differencesOnReplay(stage().database)).toEqual([]);
  });
});

describe("without its guard", () => {
  const stage = onBareStage();

  test.each(THREADS)("$thread ends as it did there: $name", async (one) => {
    const { thread, play, policy, guard, goesWrong, spare = [] } = one;
    const desk = await openDesk(stage(), { ...asBuilt(one), ...guard.without(stage().database) }, policy);
    onTestFinished(() => desk.close());
    const wrongs = await play(desk);
    process.stderr.write(`${thread} | ${guard.guard} | ${wrongs.join("; ")}\n`);
    expect(wrongs).toEqual(goesWrong);
    await desk.close();
    for (const alone of spare) {
      const held = await openDesk(stage(), alone.without(stage().database), policy);
      onTestFinished(() => held.close());
      expect(await play(held)).toEqual([]);
      await held.close();
    }
  });
});
