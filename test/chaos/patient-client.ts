/**
 * What every shopper has between itself and the nodes: a client that sends the same request again, key and all, to
 * whichever node serves, until one answers; and that keeps what each key was told.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Door } from "../support/client.ts";
import { Counter } from "./counter.ts";

/** Longer than a request may wait; a node that stands still answers nothing. */
const ANSWER_MAX_MS = 8_000;
const RETRY_MS = 150;
/** A client that got nothing for so long has met a service that is down; the embedded one is, most of the time. */
const PATIENCE_MS = 180_000;
const INITIATE = "/orchestration/checkout/initiate";

/** All that was told under one key. */
export interface Told {
  readonly key: string;
  readonly body: string;
  /** The checkouts that its answers named, also those that said to come again. */
  readonly contextIds: ReadonlySet<string>;
  /** Answers that were not to come again, byte for byte. */
  readonly answers: ReadonlySet<string>;
  /** Of the first of them. */
  readonly status: number | null;
}

export class PatientClient implements Door {
  /** Why requests were sent again, and answers that were repeated from the store. */
  readonly counts = new Counter();
  readonly #told = new Map<string, { -readonly [Name in keyof Told]: Told[Name] }>();

  constructor(private readonly fleet: { any(): { readonly url: string | null } | undefined }) {}

  /** By key, what `initiate` said. */
  get told(): readonly Told[] {
    return [...this.#told.values()];
  }

  /** Resolves with an answer that says something; rejects when there was none for minutes. */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#ask(path, init);
      if (answer instanceof Answer) {
        if (path === INITIATE) this.#keep(init, answer);
        if (!answer.saysComeAgain) return answer.response;
      }
      const reason = answer instanceof Answer ? `503 ${answer.code}` : answer;
      if (performance.now() > until) throw new Error(`${path} was not answered for ${PATIENCE_MS / 1_000} s: ${reason}`);
      this.counts.add(reason);
      await sleep(RETRY_MS);
    }
  }

  /** Whole, or why there was none. */
  async #ask(path: string, init: RequestInit): Promise<Answer | string> {
    const url = this.fleet.any()?.url;
    if (url === undefined || url === null) return "no node serves";
    try {
      const response = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(ANSWER_MAX_MS) });
      return new Answer(response, await response.text());
    } catch (error) {
      return error instanceof DOMException ? "no answer in time" : "connection broken";
    }
  }

  #keep({ headers, body }: RequestInit, answer: Answer): void {
    const key = new Headers(headers).get("idempotency-key") ?? "";
    const told = this.#told.get(key) ?? {
      key,
      body: typeof body === "string" ? body : "",
      contextIds: new Set(),
      answers: new Set(),
      status: null,
    };
    const { executionContextId } = answer;
    if (executionContextId !== undefined) told.contextIds = new Set([...told.contextIds, executionContextId]);
    if (answer.status !== 503) {
      told.answers = new Set([...told.answers, answer.text]);
      told.status ??= answer.status;
    }
    if (answer.isReplayed) this.counts.add("answers repeated from the store");
    this.#told.set(key, told);
  }
}

interface AnswerBody {
  readonly code?: string;
  readonly executionContextId?: string;
}

class Answer {
  readonly status: number;
  readonly isReplayed: boolean;
  readonly #body: AnswerBody;

  constructor(
    private readonly original: Response,
    readonly text: string,
  ) {
    this.status = original.status;
    this.isReplayed = original.headers.get("idempotency-replayed") === "true";
    const isJson = /json/.test(original.headers.get("content-type") ?? "");
    this.#body = isJson ? (JSON.parse(text) as AnswerBody) : {};
  }

  get code(): string | undefined {
    return this.#body.code;
  }

  get executionContextId(): string | undefined {
    return this.#body.executionContextId;
  }

  /** For the same request, and with nothing to show for it: a checkout that goes on in the background is an answer. */
  get saysComeAgain(): boolean {
    return this.status === 503 && this.code !== "RETRY_SCHEDULED";
  }

  get response(): Response {
    const { status, headers } = this.original;
    return new Response(this.text, { status, headers });
  }
}
