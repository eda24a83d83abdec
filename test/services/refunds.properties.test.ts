/** Captures, refunds, refunds that come back, and reversals in any order, two at a time: never is more given back than was taken. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Capture, Refund } from "../../machines/context.ts";
import type { Database } from "../../persistence/connect.ts";
import type { ParticipantsUnderTest } from "../conformance/participants-under-test.ts";
import { PaymentCalls } from "../conformance/payment-calls.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { tried } from "../support/properties.ts";
import { sqlParticipants } from "../support/sql-participants.ts";

let database: Database;
let participants: ParticipantsUnderTest;

beforeAll(async () => {
  database = await openMemoryDatabase();
  participants = await sqlParticipants(database, () => database.close());
});
afterAll(() => participants.close());

const LETTERS = [
  "capture",
  "capture",
  "refund",
  "refund",
  "refund",
  "send back",
  "send back",
  "attempt",
  "reverse",
  "settle",
] as const;

interface Turn {
  readonly letter: (typeof LETTERS)[number];
  /** Picks the capture, the refund, the attempt. */
  readonly which: number;
  readonly round: number;
}

const turn: fc.Arbitrary<Turn> = fc.record({
  letter: fc.constantFrom(...LETTERS),
  which: fc.nat(11),
  round: fc.integer({ min: 1, max: 3 }),
});
const TURNS_MAX = 8;
const REVERSALS_MAX = 5;

class Story {
  readonly calls = new PaymentCalls(participants);
  readonly refunds: Refund[] = [];
  readonly #captures: Capture[] = [];
  #attempts: readonly { readonly pcrId: string; readonly attemptId: string }[] = [];

  async begin(): Promise<void> {
    this.#attempts = [await this.calls.request("waits")];
  }

  async take({ letter, which, round }: Turn): Promise<void> {
    const attempt = this.#attempts[which % this.#attempts.length];
    const [capture, refund] = [this.#captures[which % this.#captures.length], this.refunds[which % this.refunds.length]];
    if (attempt === undefined) throw new Error("there is a first attempt");
    switch (letter) {
      case "capture":
        this.#captures.push(await this.calls.captured(attempt, which % 4 === 3 ? 111 : undefined));
        return;
      case "refund":
        if (capture !== undefined) this.refunds.push(await this.calls.refund(attempt, capture, round));
        return;
      case "send back":
        if (refund !== undefined) await this.calls.sendBack(refund);
        return;
      case "attempt":
        this.#attempts = [...this.#attempts, await this.calls.attempt(attempt, this.#attempts.length + 1, "waits")];
        return;
      case "reverse":
        this.refunds.push(...(await this.calls.reverse()).refunds);
        return;
      case "settle":
        await this.calls.settle(attempt);
        return;
    }
  }

  /** Until the provider holds nothing: a reversal may find that refund after refund was sent back. */
  async end(): Promise<void> {
    for (let tries = 1; tries <= REVERSALS_MAX; tries++) {
      const [reversal] = await Promise.allSettled([this.calls.reverse()]);
      if (reversal.status === "fulfilled") return;
      if ((reversal.reason as { readonly class?: unknown }).class !== "TRANSIENT") throw reversal.reason;
    }
    throw new Error("the reversal never ends");
  }

  /** By capture: what was taken, and what of it went back, as the provider and as our own records have it. */
  books(): Promise<readonly Book[]> {
    return database.rows<Book>(BOOKS, [this.calls.id]);
  }
}

interface Book {
  readonly taken: number;
  readonly byProvider: number;
  readonly refundsStanding: number;
  /** Null: we never heard of it. */
  readonly known: number | null;
  readonly byUs: number | null;
}

const BOOKS = `
select c.amount::int as taken, coalesce(r.amount, 0)::int as "byProvider", coalesce(r.standing, 0)::int as "refundsStanding",
  p.amount::int as known, p.refunded_amount::int as "byUs"
from checkoutd.provider_captures c
left join lateral (
  select sum(amount) as amount, count(*) as standing from checkoutd.provider_refunds
  where pcr_id = c.pcr_id and psp_reference = c.psp_reference and failed_at is null) r on true
left join checkoutd.payment_captures p on p.pcr_id = c.pcr_id and p.psp_reference = c.psp_reference
where c.context_id = $1`;

function isOurs(reason: unknown): boolean {
  const { class: kind } = reason as { readonly class?: unknown };
  return kind === "TERMINAL" || kind === "TRANSIENT";
}

test("no capture is ever given back twice or in part; in the end everything is, by the provider's books and by ours", async () => {
  let sentBack = 0;
  const pairs = fc.array(fc.array(turn, { minLength: 1, maxLength: 2 }), { maxLength: TURNS_MAX, size: "max" });
  await fc.assert(
    fc.asyncProperty(pairs, async (turns) => {
      const story = new Story();
      await story.begin();
      for (const together of turns) {
        const answers = await Promise.allSettled(together.map((one) => story.take(one)));
        // A refusal is an answer; what the database had to refuse is our bug.
        const bugs = answers.filter((answer) => answer.status === "rejected" && !isOurs(answer.reason));
        expect(bugs).toEqual([]);
        for (const { taken, byProvider, refundsStanding, byUs } of await story.books()) {
          expect(byProvider).toBeLessThanOrEqual(taken);
          expect(refundsStanding).toBeLessThanOrEqual(1);
          expect(byUs ?? 0).toBeLessThanOrEqual(taken);
        }
        sentBack += together.filter(({ letter }) => letter === "send back" && story.refunds.length > 0).length;
      }
      await story.end();
      const left = (await story.books()).map(({ taken, byProvider, known, byUs }) => [
        taken - byProvider,
        (known ?? 0) - (byUs ?? 0),
      ]);
      expect(left.flat().every((amount) => amount === 0)).toBe(true);
    }),
    tried(12),
  );
  expect(sentBack).toBeGreaterThan(0);
});
