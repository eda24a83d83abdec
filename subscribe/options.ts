/** What a subscriber says, and is told. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { CloudEvent } from "../messaging/bus.ts";
import { SubscriptionError } from "./errors.ts";
import type { Progress } from "./progress.ts";

export interface Delivery {
  /** 1-based, by the broker's count: a delivery to a process that died, or stopped before it began, counts too. */
  readonly attempt: number;
  /** Aborted when the handler should end at once: by `stop()`, a lost lease, or after `handlerMs`. To reject is right then. */
  readonly signal: AbortSignal;
  /** The step of `progress` that this event is, for handlers that write it in their own transaction. */
  readonly from: number;
  readonly to: number;
}

/** Resolves when the event is handled for good; a rejection has it delivered again. */
export type Handler = (event: CloudEvent, delivery: Delivery) => Promise<void>;

/** Events of a checkout that are not there, though a later one is. */
export interface Gap {
  readonly checkout: string;
  /** Positions: `seq`, or `typeseq` where a single type is subscribed to. Both inclusive. */
  readonly missing: { readonly from: number; readonly to: number };
  /** What waits for them. */
  readonly waiting: CloudEvent;
  /** The stream holds the first missing one: it was taken by somebody else, or the progress was set back. */
  readonly isStored: boolean;
  /** 1 = told for the first time. */
  readonly times: number;
  readonly waitedMs: number;
}

/** "skip" goes on without the missing events, by the subscriber's own decision; anything else waits. */
export type GapAnswer = "skip" | "wait" | undefined | void;

export interface DeadLetter {
  readonly event: CloudEvent | null;
  readonly subject: string;
  readonly attempts: number;
  readonly error: unknown;
  /** "stopped": its checkout waits, and it is tried again every `backoffMostMs`. */
  readonly outcome: "stopped" | "dead-lettered";
}

export interface Where {
  readonly checkout?: string;
  readonly eventId?: string;
  readonly attempt?: number;
}

export const DEFAULTS = {
  /** Handlers at once, in one process, each for another checkout. */
  concurrency: 8,
  /** Events in one process's memory. */
  inHandMax: 256,
  /** Events of all processes that were delivered and not acknowledged, blocked ones included: at it, nothing new is delivered. */
  pendingMax: 10_000,
  /** After it, the broker gives the events of a silent process to another. */
  ackWaitMs: 30_000,
  /** After it, another process becomes the active one. */
  leaseMs: 10_000,
  /** After it, a handler's signal is aborted. It is never run beside itself: one that ignores its signal keeps its checkout waiting. */
  handlerMs: 60_000,
  attemptsMax: 10,
  backoffFirstMs: 1_000,
  backoffMostMs: 60_000,
  /** Between two times that the same gap is told. */
  gapAgainMs: 300_000,
  /** How long `stop()` waits for handlers before it aborts their signals. */
  drainMs: 10_000,
  /** Copies of the streams that we make, in a cluster of as many brokers. */
  replicas: 1,
} as const;

export type Limits = { readonly [Name in keyof typeof DEFAULTS]: number };

interface Common extends Partial<Limits> {
  /** The name of this subscriber, one for all of its processes: letters, digits, `-` and `_`. It keeps its place in the stream. */
  readonly durable: string;
  /** "all", or event types as in the AsyncAPI page, without `checkout.v1.`: "line_items_confirmed". */
  readonly types: string | readonly string[];
  readonly handler: Handler;
  /** Default: a bucket on the broker. */
  readonly progress?: Progress;
  /**
   * After `attemptsMax`. "stop" (default): the checkout waits behind its event, which is tried on, so that nothing is lost or
   * out of order, and a mended handler needs no repair by hand. An outage of what the handler needs looks like a bad event:
   * "dead-letter" would then move everything aside.
   */
  readonly afterAttempts?: "stop" | "dead-letter";
  /** Told of every failure, once each time. What follows is not its business. */
  readonly onError: (error: unknown, where: Where) => void;
  /** Default: `onError` with GAP. */
  readonly onGap?: (gap: Gap) => GapAnswer | Promise<GapAnswer>;
  /** Default: `onError` with DEAD_LETTER. */
  readonly onDeadLetter?: (letter: DeadLetter) => void;
}

export type SubscribeOptions = Common &
  (
    | { readonly connection: NatsConnection; readonly servers?: never }
    | { readonly servers: string | string[]; readonly connection?: never }
  );

/** With everything decided. */
export interface Settings extends Limits, Pick<Common, "durable" | "handler"> {
  readonly afterAttempts: "stop" | "dead-letter";
  readonly onError: (error: unknown, where?: Where) => void;
  readonly onGap: (gap: Gap) => Promise<GapAnswer>;
  readonly onDeadLetter: (letter: DeadLetter) => void;
}

/** SubscriptionError OPTIONS_INVALID. */
export function settingsOf(options: SubscribeOptions): Settings {
  const limits: Limits = { ...DEFAULTS, ...withoutUndefined(options) };
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    if (!Number.isSafeInteger(limits[name]) || limits[name] < 1) throw invalid(`${name} must be a whole number, 1 or more`);
  }
  if (!/^[\w-]{1,64}$/.test(options.durable)) throw invalid("durable takes letters, digits, - and _, 64 at most");
  const onError = safely(options.onError);
  const { onGap, onDeadLetter } = options;
  return {
    ...limits,
    durable: options.durable,
    handler: options.handler,
    afterAttempts: options.afterAttempts ?? "stop",
    onError,
    // A watcher that throws must not end what it watches.
    onGap: async (gap) => {
      if (onGap === undefined) return onError(gapError(gap), { checkout: gap.checkout, eventId: gap.waiting.id });
      try {
        return await onGap(gap);
      } catch (error) {
        return onError(error, { checkout: gap.checkout });
      }
    },
    onDeadLetter: (letter) => {
      if (onDeadLetter === undefined) return onError(letterError(letter));
      try {
        onDeadLetter(letter);
      } catch (error) {
        onError(error);
      }
    },
  };
}

export function invalid(what: string): SubscriptionError {
  return new SubscriptionError("OPTIONS_INVALID", `${what}.`);
}

function withoutUndefined(options: SubscribeOptions): Partial<Limits> {
  const entries = Object.entries(options).filter(([name, value]) => name in DEFAULTS && value !== undefined);
  return Object.fromEntries(entries) as Partial<Limits>;
}

function safely(onError: Common["onError"]): Settings["onError"] {
  return (error, where = {}) => {
    try {
      onError(error, where);
    } catch {
      // Whoever is told of errors threw one: there is nobody else to tell.
    }
  };
}

function gapError({ checkout, missing, waiting }: Gap): SubscriptionError {
  return new SubscriptionError("GAP", `${waiting.id} waits for events ${missing.from} to ${missing.to} of ${checkout}.`);
}

function letterError({ subject, outcome, error }: DeadLetter): SubscriptionError {
  return new SubscriptionError("DEAD_LETTER", `A message of ${subject} was tried for the last time: ${outcome}.`, {
    cause: error,
  });
}
