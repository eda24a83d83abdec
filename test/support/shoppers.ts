/** Clients of a shop whose payment provider and network misbehave: each plays one story to the end of its checkout. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { SimulatedProvider } from "../../services/provider-simulator.ts";
import type { FeatureFlags } from "../../steps/services.ts";
import { slotPreference } from "../services/checkouts.ts";
import { dealer, shuffled, type Chance } from "./chance.ts";
import { bookableDate, order, type Answer, type Client } from "./client.ts";
import { FAR } from "./delayed-requests.ts";
import { Lookout } from "./lookout.ts";
import { successEvent } from "./payment-desk.ts";
import type { Service } from "./service.ts";

export interface Shop {
  /** Their feature flags are `hastyFlags`. */
  readonly nodes: readonly ShopNode[];
  /** Every transition of every node from now on; returns how to stop. */
  readonly watch: (see: Lookout["see"]) => () => void;
  /** Resolves when the shopper of that number, from 0, comes. Default: as soon as one before it has gone. */
  readonly arrival?: (number: number) => Promise<void>;
  /** The provider itself: takes money without telling us. */
  readonly bank: SimulatedProvider;
  readonly chance: Chance;
}

type ShopNode = Client & Pick<Service, "rows">;

export interface Crowd {
  /** Stories by name: how many were played. */
  readonly played: ReadonlyMap<StoryName, number>;
  /** What a client was told, by status and code. */
  readonly answers: ReadonlyMap<string, number>;
  /** Stories that broke off, and answers that no client should get. */
  readonly surprises: readonly string[];
}

export type StoryName = keyof typeof STORIES;
type Story = (shopper: Shopper, variant: number) => Promise<void>;

/** Out of a hundred checkouts. */
const CARDS_OF: Readonly<Record<StoryName, number>> = {
  "pays at once": 15,
  "pays at once, the reply is lost": 8,
  "pays at a flaky bank": 10,
  "pays by app": 14,
  "pays twice by one tap": 5,
  "pays too late": 5,
  "declined, pays anew": 10,
  "fails by app, pays anew": 7,
  "cancels at some moment": 8,
  "cancels, the request comes later": 4,
  "cancels after the capture": 4,
  "is told by the bank in a muddle": 10,
};

/** Users with little time; their payment is given up after a moment, everybody else's after much longer than a busy machine needs. */
const HASTY = "usr_hasty_";
const HASTY_DEADLINE_MS = 1_500;

/** Feature flags that give hasty users their short deadline. */
export const hastyFlags: FeatureFlags = {
  resolve: ({ userId }) => {
    const value = userId.startsWith(HASTY) ? HASTY_DEADLINE_MS : 0;
    return Promise.resolve({ payment_deadline_ms: { value, variant: null, reason: "TARGETING_MATCH" } });
  },
};

/** The same as a file of flags, for processes. */
export const HASTY_FLAG_FILE = {
  flags: {
    payment_deadline_ms: {
      state: "ENABLED",
      variants: { configured: 0, hasty: HASTY_DEADLINE_MS },
      defaultVariant: "configured",
      targeting: { if: [{ starts_with: [{ var: "userId" }, HASTY] }, "hasty"] },
    },
  },
};

/** More than a checkout needs on a machine that does a hundred at once. */
const PATIENCE_MS = 240_000;
const REPEATS_MAX = 50;
const AMOUNT = 249_900;

/** Plays `count` stories, `inFlight` at a time; `onProgress` hears how many are over. */
export async function letShop(
  shop: Shop,
  count: number,
  inFlight: number,
  onProgress: (over: number) => void = () => {},
): Promise<Crowd> {
  const lookout = new Lookout();
  const stopWatching = shop.watch(lookout.see);
  const names = Object.keys(STORIES) as StoryName[];
  const draw = dealer(
    names.flatMap((name) => Array<StoryName>(CARDS_OF[name]).fill(name)),
    shop.chance,
  );
  const played = new Map<StoryName, number>();
  const answers = new Map<string, number>();
  const surprises: string[] = [];
  let begun = 0;
  let over = 0;
  const shopOne = async () => {
    const number = begun++;
    await shop.arrival?.(number);
    const name = draw();
    const variant = played.get(name) ?? 0;
    played.set(name, variant + 1);
    const shopper = new Shopper(shop, lookout, number, (answer) => answers.set(answer, (answers.get(answer) ?? 0) + 1));
    await STORIES[name](shopper, variant).catch((error: unknown) => surprises.push(`${name}: ${String(error)}`));
    onProgress(++over);
  };
  const worker = async () => {
    while (begun < count) await shopOne();
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  stopWatching();
  return { played, answers, surprises };
}

const STORIES = {
  "pays at once": (shopper: Shopper) => shopper.payWith("ins_sync_ok"),
  "pays at once, the reply is lost": (shopper: Shopper) => shopper.payWith("ins_reply_lost"),
  "pays at a flaky bank": (shopper: Shopper) => shopper.payWith("ins_flaky"),
  "pays by app": (shopper: Shopper) => shopper.payWith("ins_async_ok"),
  "pays twice by one tap": (shopper: Shopper) => shopper.payWith("ins_double"),

  /** The success comes 2 s after the deadline, or after the client's own cancellation. */
  "pays too late": async (shopper: Shopper, variant: number) => {
    await shopper.begin("ins_late", HASTY);
    if (variant % 5 === 4) {
      await shopper.hesitate(1_500);
      await shopper.cancel();
    }
    await shopper.comes("finished");
  },

  "declined, pays anew": async (shopper: Shopper, variant: number) => {
    await shopper.initiate("ins_decline");
    await shopper.pay(["ins_sync_ok", "ins_async_ok", "ins_decline", "ins_reply_lost"][variant % 4] ?? "ins_sync_ok");
    // Declined twice: the last attempt.
    if (variant % 4 === 2) await shopper.pay(variant % 8 === 2 ? "ins_decline" : "ins_sync_ok");
    await shopper.comes("finished");
  },

  /** Heard of by an event or by asking; one in three goes away, and the deadline ends it. */
  "fails by app, pays anew": async (shopper: Shopper, variant: number) => {
    const goesAway = variant % 3 === 2;
    await shopper.initiate("ins_async_fail", goesAway ? HASTY : "usr_");
    await shopper.comes("finished", "declined");
    if (!goesAway) await shopper.pay(variant % 2 === 0 ? "ins_sync_ok" : "ins_async_ok");
    await shopper.comes("finished");
  },

  "cancels at some moment": async (shopper: Shopper, variant: number) => {
    await shopper.begin(["ins_async_ok", "ins_sync_ok", "ins_double", "ins_flaky"][variant % 4] ?? "ins_async_ok");
    await shopper.hesitate(1_500);
    await shopper.cancel();
    await shopper.comes("finished");
  },

  /** The request is still on its way when its undo is done. Only the undo's mark can refuse it then. */
  "cancels, the request comes later": async (shopper: Shopper) => {
    await shopper.begin("ins_sync_ok", FAR);
    await shopper.hesitate(1_000);
    await shopper.cancel();
    await shopper.comes("finished");
  },

  /**
   * The bank has the money and we don't know yet, or learn of it after the cancellation, and the first refund is sent back;
   * or nobody ever tells us, and only asking the provider finds it.
   */
  "cancels after the capture": async (shopper: Shopper, variant: number) => {
    const isNeverTold = variant % 3 === 2;
    await shopper.begin(isNeverTold ? "ins_async" : "ins_refund_fails");
    await shopper.comes("finished", "awaiting payment");
    const success = await shopper.successOfItsCharge();
    if (variant % 3 !== 1) await shopper.takeUnheard(success);
    await shopper.cancel();
    if (!isNeverTold) await shopper.deliver(success);
    await shopper.comes("finished");
  },

  /** Events from outside: doubled, reordered, contradictory, with a second capture or another amount. */
  "is told by the bank in a muddle": async (shopper: Shopper, variant: number) => {
    await shopper.begin("ins_async");
    await shopper.comes("finished", "awaiting payment");
    const success = await shopper.successOfItsCharge();
    const failed = {
      ...success,
      type: "payment_collection_requirement_failed",
      data: { ...anew(success).data, code: "BANK_SAYS_NO" },
    };
    const other = (amount: number) => {
      const { data } = anew(success);
      return { ...success, data: { ...data, pspReference: `other_${data.eventId}`, amount } };
    };
    const muddles = [
      [success, success, anew(success)],
      [failed, success, failed],
      [success, other(AMOUNT), success],
      [other(AMOUNT - 1), success],
    ];
    await shopper.deliverInAnyOrder(muddles[variant % muddles.length] ?? []);
    await shopper.comes("finished");
  },
} satisfies Readonly<Record<string, Story>>;

type BankEvent = Parameters<Client["deliverPayment"]>[0];
type Success = ReturnType<typeof successEvent>;

/** The same news as an event of its own. */
function anew(event: Success): Success {
  return { ...event, data: { ...event.data, eventId: randomUUID() } };
}

class Shopper {
  #id = "";

  constructor(
    private readonly shop: Shop,
    private readonly lookout: Lookout,
    private readonly number: number,
    private readonly onAnswer: (answer: string) => void,
  ) {}

  async payWith(instrumentId: string): Promise<void> {
    await this.initiate(instrumentId);
    await this.comes("finished");
  }

  /** Waits for the first answer, and repeats the request when there was none in time. */
  initiate(instrumentId: string, userPrefix = "usr_"): Promise<void> {
    return this.#initiate(instrumentId, userPrefix);
  }

  /** Doesn't wait for an answer. */
  begin(instrumentId: string, userPrefix = "usr_"): Promise<void> {
    return this.#initiate(instrumentId, userPrefix, 0);
  }

  async #initiate(instrumentId: string, userPrefix: string, wait?: number): Promise<void> {
    const preferences = [slotPreference("slot_0900", bookableDate(10 + (this.number % 50)))];
    const user = { userId: `${userPrefix}${this.number % 997}`, cityId: "BLR" };
    const body = order(instrumentId, { user, preferences });
    const sending = { key: randomUUID(), ...(wait === undefined ? {} : { wait }) };
    const answer = await this.#ask((node) => node.initiate(body, sending), wait === 0);
    this.#id = (JSON.parse(answer.text) as { readonly executionContextId: string }).executionContextId;
  }

  async pay(instrumentId: string): Promise<void> {
    const key = randomUUID();
    await this.#ask((node) => node.pay(this.#id, instrumentId, { key }));
  }

  async cancel(): Promise<void> {
    await this.#ask((node) => node.cancel(this.#id));
  }

  async hesitate(forAtMostMs: number): Promise<void> {
    await sleep(Math.round(this.shop.chance() * forAtMostMs));
  }

  comes(...to: Parameters<Lookout["until"]>[1]): Promise<void> {
    return this.lookout.until(this.#id, to, PATIENCE_MS);
  }

  /** Names the capture as the provider itself does: by its charge. */
  async successOfItsCharge(): Promise<Success> {
    const [charge] = await this.#node().rows<{ id: string; pcrId: string; attemptId: string }>(
      `select c.id, c.pcr_id as "pcrId", c.attempt_id as "attemptId" from checkoutd.provider_charges c
         join checkoutd.payment_collection_requirements p on p.id = c.pcr_id where p.context_id = $1`,
      [this.#id],
    );
    if (charge === undefined) throw new Error(`${this.#id} awaits no payment, so the bank can't send one`);
    return anew(successEvent(charge.pcrId, charge.id, AMOUNT, charge.attemptId));
  }

  async takeUnheard(success: Success): Promise<void> {
    await this.shop.bank.recordAuthenticatedSuccess(success);
  }

  /** A bank repeats what wasn't accepted, so only a refusal for good is a surprise. */
  async deliver(event: BankEvent): Promise<void> {
    const { status, text } = await this.#node().deliverPayment(event);
    if (status !== 200) throw new Error(`the event of ${this.#id} was answered ${status}: ${text}`);
  }

  /** Some at once, over whichever node. */
  async deliverInAnyOrder(events: readonly BankEvent[]): Promise<void> {
    const deliveries = shuffled(events, this.shop.chance).map(async (event, index) => {
      await this.hesitate(index * 200);
      await this.deliver(event);
    });
    await Promise.all(deliveries);
  }

  /** As a client does that may not give up: a 503 says that the request is kept, and the same one joins it. */
  async #ask(request: (node: ShopNode) => Promise<Answer>, isImpatient = false): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const answer = await request(this.#node());
      if (answer.status === 503 && !isImpatient && tries < REPEATS_MAX) continue;
      const code = answer.status < 300 ? "" : ` ${answer.problem().code}`;
      this.onAnswer(`${answer.status}${code}`);
      if (!EXPECTED.has(`${answer.status}${code}`)) throw new Error(`${this.#id} was answered ${answer.status}: ${answer.text}`);
      return answer;
    }
  }

  #node(): ShopNode {
    const { nodes, chance } = this.shop;
    const node = nodes[Math.floor(chance() * nodes.length)];
    if (node === undefined) throw new Error("A shop has at least one node.");
    return node;
  }
}

/** All that a client may be told here. Whoever was too slow for the deadline is told so. */
const EXPECTED: ReadonlySet<string> = new Set([
  "200",
  "202",
  "409 ALREADY_PAID",
  "409 NOT_CANCELLABLE",
  "409 PAYMENT_NOT_EXPECTED",
  "422 PAYMENT_DECLINED",
  "422 PAYMENT_EXPIRED",
  "502 STEP_FAILED",
  "503 RETRY_SCHEDULED",
]);
