/** Whoever calls the API: it asks any node, waits for a while, and asks again with the same key. */
import { CheckoutError, classify } from "../../machines/errors.ts";
import type { Clock } from "../../steps/ports.ts";
import type { SimulatedNode } from "./simulated-node.ts";

export interface ClientWorld {
  readonly clock: Clock;
  /** A node that answers, if there is one. */
  readonly anyNode: () => SimulatedNode | null;
  readonly trace: (what: () => string) => void;
  /** What happened, to be counted. */
  readonly count: (what: string) => void;
  /** Something happened that no client may ever see. */
  readonly complain: (what: string) => void;
}

/** What a call came to: its value, or the code with which it was refused. */
export type Reply<Value> =
  { readonly kind: "answered"; readonly value: Value } | { readonly kind: "refused"; readonly code: string };

export const PATIENCE_MS = 4_000;
const ASK_AGAIN_MS = 1_000;
/** With these the same request is worth sending again. */
const WORTH_REPEATING = new Set(["RETRY_SCHEDULED", "DRAINING", "OVERLOADED", "UNAVAILABLE", "NO_ANSWER"]);

export class Client {
  constructor(
    readonly name: string,
    /** Refusals that it understands. */
    private readonly expected: ReadonlySet<string>,
    private readonly world: ClientWorld,
  ) {}

  /** Until there is an answer, or a refusal that another try would only meet again. `null` = no answer yet. */
  async persist<Value>(what: string, ask: (node: SimulatedNode) => Promise<Value | null>): Promise<Reply<Value>> {
    const { anyNode, trace, complain, count } = this.world;
    for (;;) {
      const node = anyNode();
      if (node !== null) {
        trace(() => `${this.name} ${what} at ${node.name}`);
        const value = await this.#within(ask(node)).catch((error: unknown) => codeOf(error));
        if (value !== null && typeof value !== "string") {
          trace(() => `${this.name} has an answer${statusOf(value)}`);
          return { kind: "answered", value };
        }
        if (typeof value === "string") {
          count(`told ${value}`);
          trace(() => `${this.name} is told ${value}`);
        }
        if (typeof value === "string" && !WORTH_REPEATING.has(value)) {
          if (!this.expected.has(value)) complain(`${this.name} ${what} and is told ${value}`);
          return { kind: "refused", code: value };
        }
      }
      await this.pause(ASK_AGAIN_MS);
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise((resume) => this.world.clock.after(ms, resume));
  }

  #within<Value>(answer: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const cancel = this.world.clock.after(PATIENCE_MS, () => reject(new NoAnswer()));
      answer.then(resolve, reject).finally(cancel);
    });
  }
}

class NoAnswer extends Error {
  readonly code = "NO_ANSWER";
}

/** As the edge tells it (server/error-response.ts). */
function codeOf(error: unknown): string {
  if (error instanceof CheckoutError || error instanceof NoAnswer) return error.code;
  return classify(error).class === "TRANSIENT" ? "UNAVAILABLE" : String(error);
}

function statusOf(value: unknown): string {
  const { answer, status } = value as {
    readonly answer?: { readonly status: number; readonly body: string };
    readonly status?: string;
  };
  if (answer === undefined) return status === undefined ? "" : `: ${status}`;
  return `: ${answer.status} ${(JSON.parse(answer.body) as { readonly status?: string }).status ?? ""}`;
}
