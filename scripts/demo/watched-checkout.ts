/** One checkout of the demo from its customer's side: asked for, followed over the stream, told line by line. */
import { randomUUID } from "node:crypto";
import type { Outcome } from "../checkout-audit.ts";
import { CLIENT_WAIT_SECONDS, exampleRequest, follow, initiate, isEnding, type Answer, type Transition } from "./client.ts";
import type { DemoService } from "./demo-service.ts";
import { Narrator } from "./narration.ts";
import { amount, remark } from "../output.ts";

export interface Scenario {
  /** Its row in the books. */
  readonly name: string;
  readonly instrumentId: string;
  readonly method?: string;
  /** What the customer was shown; another total than the invoice's is refused. */
  readonly expectedTotal?: number;
  readonly outcome: Outcome;
}

/** What a scene leaves for the books. */
export interface Played {
  readonly scenario: Scenario;
  readonly executionContextId: string;
  /** What went otherwise than it must, seen while it was played. */
  readonly wrongs: readonly string[];
}

/** A scene of the demo, on a service that runs before and after it. */
export type Scene = (service: DemoService) => Promise<readonly Played[]>;

export class WatchedCheckout {
  readonly #narrator = new Narrator();
  #toldSeq = 0;

  private constructor(
    private readonly service: DemoService,
    readonly executionContextId: string,
    /** The same request with the same key, wherever the service is now. */
    readonly ask: () => Promise<Answer>,
  ) {}

  /** The first request does not wait: it gets the id, with which the stream is followed while the same key asks again. */
  static async begin(service: DemoService, { instrumentId, expectedTotal, method }: Scenario): Promise<WatchedCheckout> {
    const request = exampleRequest(`cart_${randomUUID()}`, instrumentId, expectedTotal, method);
    const key = randomUUID();
    const { httpStatus, body } = await initiate(service.url, key, request, 0);
    if (body.executionContextId === undefined) throw new Error(`initiate answered ${httpStatus}: ${JSON.stringify(body)}`);
    return new WatchedCheckout(service, body.executionContextId, () => initiate(service.url, key, request, CLIENT_WAIT_SECONDS));
  }

  /** Tells the transitions that were not told yet, until `isLast` or the first end; the last one of them. */
  async tell(isLast: (transition: Transition) => boolean = isEnding): Promise<Transition> {
    const stop = new AbortController();
    try {
      for await (const transition of follow(this.service.url, this.executionContextId, this.#toldSeq, stop.signal)) {
        this.#narrator.tell(transition);
        this.#toldSeq = transition.seq;
        if (isLast(transition)) return transition;
      }
      throw new Error(`The stream of ${this.executionContextId} ended too early.`);
    } finally {
      stop.abort();
    }
  }

  /** Tells while the service works on an answer, then the answer. */
  async tellAnswer(answer: Promise<Answer>, isLast?: (transition: Transition) => boolean): Promise<Answer> {
    // Reported where it is awaited, also when the stream breaks first.
    answer.catch(() => undefined);
    await this.tell(isLast);
    sayAnswer(await answer);
    return answer;
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
