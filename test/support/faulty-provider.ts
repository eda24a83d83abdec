/** A payment provider that can't be relied on: it is unreachable now and then, and loses replies after it has acted. */
import { TransientError } from "../../machines/errors.ts";
import type { Charge, PaymentProvider } from "../../services/payment-provider.ts";
import { dealer, type Chance } from "./chance.ts";

type ProviderCall = "create" | "confirm" | "cancel" | "retrieve" | "refund";
export type ProviderFault =
  `${ProviderCall} unreachable` | `${Exclude<ProviderCall, "retrieve">} reply lost` | "charged, reply lost";

export const PROVIDER_FAULTS: readonly ProviderFault[] = [
  "create unreachable",
  "confirm unreachable",
  "cancel unreachable",
  "retrieve unreachable",
  "refund unreachable",
  "create reply lost",
  "confirm reply lost",
  "charged, reply lost",
  "cancel reply lost",
  "refund reply lost",
];

/** One in so many of its kind: calls that never arrive, and replies that are lost after the call took effect. */
const ONE_IN: Readonly<Record<ProviderFault, number>> = {
  "create unreachable": 10,
  "confirm unreachable": 10,
  "cancel unreachable": 10,
  "retrieve unreachable": 10,
  "refund unreachable": 10,
  "create reply lost": 20,
  "confirm reply lost": 10,
  "charged, reply lost": 10,
  "cancel reply lost": 20,
  "refund reply lost": 10,
};

/** Several nodes may share it, as they share a provider. */
export class FaultyProvider {
  readonly #happened = new Map<ProviderFault, number>();
  readonly #strikes: Readonly<Record<ProviderFault, () => boolean>>;
  readonly #lostAs: () => Error;
  #isQuiet = false;

  constructor(chance: Chance) {
    const decks = PROVIDER_FAULTS.map((fault) => {
      const cards = Array.from({ length: ONE_IN[fault] }, (_, index) => index === 0);
      return [fault, dealer(cards, chance)] as const;
    });
    this.#strikes = Object.fromEntries(decks) as Record<ProviderFault, () => boolean>;
    const makeError = dealer(LOST_REPLIES, chance);
    this.#lostAs = () => makeError()();
  }

  around = (inner: PaymentProvider): PaymentProvider => ({
    name: inner.name,
    create: (request) => this.#call("create", () => inner.create(request)),
    confirm: (reference) => this.#confirm(() => inner.confirm(reference)),
    cancel: (reference) => this.#call("cancel", () => inner.cancel(reference)),
    retrieve: (reference) => this.#reach("retrieve", () => inner.retrieve(reference)),
    refund: (request) => this.#call("refund", () => inner.refund(request)),
    listCharges: (page) => inner.listCharges(page),
  });

  /** How often each fault has struck. */
  count(fault: ProviderFault): number {
    return this.#happened.get(fault) ?? 0;
  }

  /** No fault from now on. */
  quiet(): void {
    this.#isQuiet = true;
  }

  async #confirm(confirm: () => Promise<Charge>): Promise<Charge> {
    const charge = await this.#reach("confirm", confirm);
    // Apart, so that of the replies after a charge exactly one in ten is lost, however many ask for an action.
    this.#lose(charge.status === "captured" ? "charged, reply lost" : "confirm reply lost");
    return charge;
  }

  async #call<Reply>(name: "create" | "cancel" | "refund", call: () => Promise<Reply>): Promise<Reply> {
    const reply = await this.#reach(name, call);
    this.#lose(`${name} reply lost`);
    return reply;
  }

  async #reach<Reply>(name: ProviderCall, call: () => Promise<Reply>): Promise<Reply> {
    if (this.#struck(`${name} unreachable`)) {
      throw new TransientError("PROVIDER_UNAVAILABLE", "The payment provider doesn't answer. Try again later.");
    }
    return call();
  }

  #lose(fault: ProviderFault): void {
    if (this.#struck(fault)) throw this.#lostAs();
  }

  #struck(fault: ProviderFault): boolean {
    if (this.#isQuiet || !this.#strikes[fault]()) return false;
    this.#happened.set(fault, this.count(fault) + 1);
    return true;
  }
}

/** A lost reply as clients see it: said by an adapter, or whatever the network threw. */
const LOST_REPLIES: readonly (() => Error)[] = [
  () => new TransientError("PROVIDER_TIMEOUT", "The payment provider's reply didn't arrive. Repeat the call under its key."),
  () => Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }),
  () => new DOMException("The operation was aborted due to timeout", "TimeoutError"),
];
