/** What happened in a run, as nobody in it knows it; what may never happen is found at once. */
import type { CloudEvent } from "../../messaging/bus.ts";
import type { DeadLetter, Gap } from "../../subscribe/options.ts";
import { SubscriptionError } from "../../subscribe/subscribe.ts";
import type { Life } from "../simulation/life.ts";
import type { VirtualClock } from "../simulation/virtual-clock.ts";
import { Refused } from "./simulated-database.ts";
import { Unanswered } from "./simulated-way.ts";

/** What a handler rejects with. */
export class HandlerFailure extends Error {}

/** A process of the subscriber, as the ledger knows it. */
export interface Member {
  readonly name: string;
  readonly life: Life;
  readonly lease: { readonly isTrusted: boolean; readonly term: AbortSignal };
}

export interface Handling {
  /** In the order of their beginnings. */
  readonly number: number;
  readonly member: Member;
  /** Of the lease under which it was begun. */
  readonly term: AbortSignal;
  readonly event: CloudEvent;
  readonly position: number;
  isRunning: boolean;
  /** Its process was told that it is recorded, and held that same lease throughout. False: it was cut before. */
  isRecorded: boolean;
}

export interface Letter {
  readonly eventId: string | null;
  /** The last handling of its event by the process that gave it up. */
  readonly handling: Handling | undefined;
}

export const SEEN = ["handling cut", "overlap without a lease", "handler slow", "lease lost"] as const;
export type Seen = (typeof SEEN)[number];

export class Ledger {
  readonly breaches: string[] = [];
  readonly seen = new Map<Seen, number>();
  readonly handlings: Handling[] = [];
  /** In the order of the effects. */
  readonly effects: Handling[] = [];
  readonly letters: Letter[] = [];
  readonly told: { readonly member: Member; readonly term: AbortSignal; readonly letter: DeadLetter }[] = [];
  /** `askedAtMs`: when the stream was read for it last. */
  readonly gaps: (Gap & { readonly askedAtMs: number })[] = [];
  readonly #skipped = new Set<string>();
  /** How far anybody was told that a checkout is. */
  readonly #stands = new Map<string, number>();

  constructor(
    private readonly clock: VirtualClock,
    private readonly members: () => readonly Member[],
    private readonly trace: ((line: string) => void) | null,
  ) {}

  note(line: string): void {
    this.trace?.(`${String(this.clock.monotonic() - Date.UTC(2027, 0, 8, 10)).padStart(9)} ${line}`);
  }

  begin(member: Member, event: CloudEvent, position: number): Handling {
    this.note(`${member.name} begins ${event.id}`);
    const holders = this.members().filter(({ life, lease }) => life.isActing && lease.isTrusted);
    if (!member.lease.isTrusted) this.#breach(`${member.name} began ${event.id} without its lease`);
    if (holders.length > 1) this.#breach(`${holders.map(({ name }) => name).join(" and ")} hold the lease at once`);
    for (const other of this.handlings) {
      if (!other.isRunning || other.event.subject !== event.subject || other.member.life.isDead) continue;
      const isExcused = other.member !== member && (other.term.aborted || !other.member.lease.isTrusted);
      if (isExcused) this.#count("overlap without a lease");
      else this.#breach(`${member.name} began ${event.id} beside ${other.event.id} of ${other.member.name}`);
    }
    const number = this.handlings.length;
    const handling = { number, member, term: member.lease.term, event, position, isRunning: true, isRecorded: false };
    this.handlings.push(handling);
    return handling;
  }

  effect(handling: Handling): void {
    this.note(`${handling.member.name} has the effect of ${handling.event.id}`);
    this.effects.push(handling);
  }

  stands(checkout: string, position: number): void {
    this.#stands.set(checkout, Math.max(position, this.#stands.get(checkout) ?? 0));
  }

  /** `member` was told so, of what it recorded. */
  recorded(member: Member, checkout: string, position: number): void {
    this.note(`${member.name} is told that ${checkout} stands at ${position}`);
    this.stands(checkout, position);
    const { isTrusted, term } = member.lease;
    const ours = this.handlings.filter((handling) => handling.member === member && handling.event.subject === checkout);
    for (const handling of ours) {
      const isLast = handling === ours.findLast((other) => other.position === handling.position);
      if (isLast && handling.position <= position && isTrusted && handling.term === term) handling.isRecorded = true;
    }
  }

  letter(member: Member, eventId: string | null): void {
    this.note(`${member.name} has ${eventId ?? "a malformed message"} kept in the dead letters`);
    const handling = this.handlings.findLast((other) => other.member === member && other.event.id === eventId);
    this.letters.push({ eventId, handling });
  }

  tell(member: Member, letter: DeadLetter): void {
    this.note(`${member.name} tells ${letter.event?.id ?? "a malformed message"} ${letter.outcome}`);
    this.told.push({ member, term: member.lease.term, letter });
  }

  tellGap(member: Member, gap: Gap, askedAtMs: number): void {
    const { checkout, missing, isStored, times } = gap;
    const where = isStored ? "stored" : "not stored";
    this.note(`${member.name} tells gap ${checkout} ${missing.from}-${missing.to}, ${where}, time ${times}`);
    this.gaps.push({ ...gap, askedAtMs });
  }

  skip(checkout: string, { missing }: Gap): void {
    for (let position = missing.from; position <= missing.to; position++) this.#skipped.add(`${checkout} ${position}`);
  }

  /** The subscriber went on without it, by its own decision. */
  isSkipped({ event, position }: Pick<Handling, "event" | "position">): boolean {
    return this.#skipped.has(`${event.subject} ${position}`) && (this.#stands.get(event.subject) ?? 0) >= position;
  }

  error(member: Member, error: unknown): void {
    this.note(`${member.name} error ${String(error)}`);
    if (error instanceof SubscriptionError && error.code === "HANDLER_SLOW") this.#count("handler slow");
    else if (error instanceof SubscriptionError && error.code === "LEASE_LOST") this.#count("lease lost");
    else if (![Unanswered, HandlerFailure, Refused].some((known) => error instanceof known))
      this.#breach(`onError told ${String(error)}`);
  }

  countCut(): void {
    this.#count("handling cut");
  }

  #breach(what: string): void {
    this.note(`BREACH ${what}`);
    this.breaches.push(what);
  }

  #count(what: Seen): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}
