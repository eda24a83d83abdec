/**
 * One checkout on its way through the places of a route, on the real runtime, with nodes that end or stand still where
 * they are told to. Whatever happens to them, what is durable and what is heard must be as if nothing had.
 */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { JournalEntry, Receipt } from "../../persistence/store.ts";
import { dehydrate, type StampedEvent } from "../../runtime/engine.ts";
import { Chronicle } from "./chronicle.ts";
import { BOUNDARIES, isOutcome, isTimer, type Boundary, type Interruption } from "./interruptions.ts";
import { MortalRuntime } from "./mortal-runtime.ts";
import type { Place } from "./places.ts";
import { withoutStamp } from "./runner.ts";
import { MemoryBed, type WalkBed } from "./walk-beds.ts";
import { JUMP_MS, WalkClock } from "./walk-clock.ts";

const CLAIM_MAX = 10;

const STALE = { type: "xstate.error.actor.stale", at: 0, error: { class: "TERMINAL", code: "STALE", message: "too late" } };

export class Walk {
  readonly #chronicle: Chronicle;
  #node: MortalRuntime | null = null;
  #nodes: number;
  #armed: Interruption | null = null;
  /** Takeovers: each may have an event published once more. */
  #takeovers = 0;

  private constructor(
    private readonly id: string,
    private readonly bed: WalkBed,
    private readonly clock: WalkClock,
    private readonly places: readonly Place[],
    from?: Walk,
  ) {
    this.#chronicle = from === undefined ? new Chronicle() : from.#chronicle.copy();
    this.#nodes = from === undefined ? 0 : from.#nodes;
  }

  static on(bed: WalkBed, id: string, clock: WalkClock, places: readonly Place[]): Walk {
    return new Walk(id, bed, clock, places);
  }

  static async inMemory(id: string, places: readonly Place[]): Promise<Walk> {
    const clock = new WalkClock();
    const bed = new MemoryBed(clock);
    const [beginning] = places;
    if (beginning !== undefined) await bed.create(id, beginning);
    return new Walk(id, bed, clock, places);
  }

  /**
   * What is durable now, for another walk from here on: its first node finds what a node leaves behind that ends here. With a
   * checkpoint of this place, because to fold the journal again takes longer than the walk; walks that aren't copies fold all of it.
   */
  fork(places: readonly Place[]): Walk {
    const clock = new WalkClock(this.clock.now());
    const bed = new MemoryBed(clock, this.memory);
    const { seq, snapshot, timers } = this.#at(this.index);
    bed.store.refreshCheckpoint(this.id, { seq, snapshot: dehydrate(checkoutMachine, snapshot), timers });
    return new Walk(this.id, bed, clock, places, this);
  }

  get memory(): MemoryBed {
    if (this.bed instanceof MemoryBed) return this.bed;
    throw new Error("It walks over a database.");
  }

  /** How many events it has taken. */
  get index(): number {
    return this.#chronicle.seq - 1;
  }

  async stepTo(index: number): Promise<void> {
    while (this.index < index) await this.step();
  }

  /** Takes the next event, with or without trouble, and stands where it leads. */
  async step(interruption: Interruption | null = null): Promise<void> {
    const { index } = this;
    const next = this.#at(index + 1);
    if (this.#node === null && index > 0) await this.#takeOver();
    if (interruption === "dies after the effect") {
      this.#node?.life.kill();
      await this.#takeOver();
    } else {
      this.#armed = interruption;
    }
    await this.#send(next.entry.event as StampedEvent, index);
    const isOver = interruption === null || interruption === "hears a stale outcome" || interruption === "dies after the effect";
    if (!isOver) await this.#recover(next, index, interruption);
    if (this.#armed !== null) this.#chronicle.breach(`it never came about that it ${this.#armed}`);
    this.#stand(next);
  }

  /** Whoever sent the last event sends it once more. */
  async repeat(): Promise<void> {
    const last = this.#at(this.index);
    await this.#receiveAgain(last.entry.event as StampedEvent, this.index - 1);
    this.#stand(last);
  }

  /** Throws with all that differs from the route without a crash. */
  async finish(): Promise<void> {
    const { store } = this.bed;
    const end = this.#at(this.places.length - 1);
    const [journal, outbox, stored, unconsumed] = [
      await store.history(this.id, 1, this.places.length),
      await store.events(this.id),
      await store.load(this.id),
      await store.unconsumed(this.id),
    ];
    this.#node?.life.kill();
    const differ = (what: string, is: unknown, wanted: unknown) => {
      const [left, right] = [canonicalJson(is), canonicalJson(wanted)];
      if (left !== right) this.#chronicle.breach(`${what}: ${left}, and without a crash ${right}`);
    };
    const entries = this.places.slice(1).map(({ entry }) => entry);
    const emitted = this.places.flatMap((place) => place.emitted);
    const { heard } = this.#chronicle;
    differ("the journal", journal, entries satisfies readonly JournalEntry[]);
    differ(
      "the outbox",
      outbox.map(({ type, data, eventSeq }) => ({ type, data, eventSeq })),
      emitted.map(({ type, data }, index) => ({ type, data, eventSeq: index + 1 })),
    );
    differ("what is not published", outbox.filter(({ acknowledgedAt }) => acknowledgedAt === null).length, 0);
    differ(
      "what was heard",
      [...new Set(heard.map(({ id }) => id))],
      outbox.map(({ eventSeq }) => `${this.id}:${eventSeq}`),
    );
    if (heard.length > emitted.length + this.#takeovers) this.#chronicle.breach(`${heard.length} events were published`);
    if (stored === null) throw new Error("The checkout is gone.");
    const { seq } = stored.checkpoint;
    const { snapshot, timers } = this.#at(seq - 1);
    differ("its checkpoint", stored.checkpoint, { seq, snapshot: dehydrate(checkoutMachine, snapshot), timers });
    differ("its row", [stored.seq, stored.wakeAt], [end.seq, end.wakeAt]);
    differ("its owner", stored.owner === null, end.step === null);
    differ("the inbox", unconsumed, []);
    const { breaches } = this.#chronicle;
    if (breaches.length > 0) throw new Error(breaches.join("\n"));
  }

  #at(index: number): Place {
    const place = this.places[index];
    if (place === undefined) throw new Error([`There is no place ${index}.`, ...this.#chronicle.breaches].join("\n"));
    return place;
  }

  /** Another node finds the checkout as recovery does, and goes on. */
  async #takeOver(): Promise<void> {
    const { bed, clock, id } = this;
    if (this.#nodes > 0) await bed.expire(this.#nameOf(this.#nodes));
    clock.forgetAlarms();
    this.#takeovers++;
    const name = this.#nameOf(++this.#nodes);
    await bed.lease(name, 0);
    const node = new MortalRuntime(name, this.#nodes, {
      id,
      store: bed.store,
      clock,
      chronicle: this.#chronicle,
      place: () => this.places[this.index],
      newest: () => this.#nameOf(this.#nodes),
      onBoundary: (boundary) => this.#interrupt(boundary),
    });
    this.#node = node;
    for (const claimed of await node.store.claimRunnable(name, CLAIM_MAX)) {
      if (claimed !== id) this.#chronicle.breach(`${claimed} was claimed`);
      this.#watched(node.registry.adopt(claimed));
    }
    await this.#chronicle.settled();
    if (node.life.isActing) await this.#checkRevived(node);
  }

  #nameOf(number: number): string {
    return `node_${this.id}_${number}`;
  }

  /** Whoever goes on has set the alarm of the timers that were set; who rests left it to the store. */
  async #checkRevived({ registry }: MortalRuntime): Promise<void> {
    const { wakeAt } = this.#at(this.index);
    const stored = registry.has(this.id) ? null : await this.bed.store.load(this.id);
    const alarm = stored === null ? registry.wakeAt(this.id) : stored.wakeAt;
    const rings = wakeAt === null || stored !== null || this.clock.rings(wakeAt);
    if (alarm !== wakeAt || !rings) this.#chronicle.breach(`whoever took over wakes at ${alarm} instead of ${wakeAt}`);
  }

  #interrupt(boundary: Boundary): void {
    const armed = this.#armed;
    if (armed === null || BOUNDARIES[armed] !== boundary) return;
    this.#armed = null;
    if (armed === "hears a stale outcome") this.#node?.end(STALE);
    else if (armed.startsWith("is overtaken")) this.#node?.life.pause();
    else this.#node?.life.kill();
  }

  async #send(event: StampedEvent, index: number): Promise<void> {
    if (index === 0) await this.#takeOver();
    else if (isOutcome(event)) this.#node?.end(event);
    else if (isTimer(event)) {
      await this.bed.lease(this.#nameOf(this.#nodes), JUMP_MS);
      this.clock.jump();
      this.#ring(event);
    } else {
      if (!(await this.#receive(event, index)).isNew) this.#chronicle.breach(`${event.type} was received before`);
      this.#notify();
    }
    await this.#chronicle.settled();
  }

  /** The next node, and whoever sent the event: nobody told him that it arrived. */
  async #recover(next: Place, index: number, interruption: Interruption): Promise<void> {
    const event = next.entry.event as StampedEvent;
    const former = this.#node;
    await this.#takeOver();
    if (interruption === "is overtaken, and wakes first") {
      former?.life.resume();
      await this.#chronicle.settled();
    }
    if (this.#chronicle.seq < next.seq) {
      if (isOutcome(event)) this.#node?.end(event);
      else if (isTimer(event)) this.#ring(event);
      else this.#chronicle.breach(`${event.type} was received, and nobody took it`);
      await this.#chronicle.settled();
    }
    // One that stood still goes on with what it had in hand; a dead one doesn't.
    former?.life.resume();
    await this.#chronicle.settled();
    await this.#receiveAgain(event, index);
  }

  async #receiveAgain(event: StampedEvent, index: number): Promise<void> {
    if (index === 0 || isOutcome(event) || isTimer(event)) return;
    if ((await this.#receive(event, index)).isNew) this.#chronicle.breach(`${event.type} was forgotten`);
    this.#notify();
    await this.#chronicle.settled();
  }

  async #receive(event: StampedEvent, index: number): Promise<Pick<Receipt, "isNew">> {
    const { store } = this.bed;
    const eventId = `${this.id}:${index}`;
    const plain = withoutStamp(event);
    if (!event.type.startsWith("payment_")) return { isNew: await store.receiveCommand("paths", eventId, this.id, plain) };
    const { pcrId } = plain["data"] as { readonly pcrId: string };
    const receipt = await store.receivePayment("paths", eventId, pcrId, plain);
    if (receipt.contextId !== this.id) this.#chronicle.breach(`${event.type} was kept for ${receipt.contextId}`);
    return receipt;
  }

  #notify(): void {
    const node = this.#node;
    if (node !== null) this.#watched(node.registry.notify(this.id));
  }

  #ring({ type }: StampedEvent): void {
    const node = this.#node;
    if (node === null) return;
    this.#watched(node.registry.actorOf(this.id).then((actor) => actor?.tell({ kind: "timer", id: type })));
  }

  /** Not waited for: a node that dies never answers. */
  #watched(call: Promise<unknown>): void {
    call.catch((error: unknown) => this.#chronicle.breach(String(error)));
  }

  #stand({ seq, step }: Place): void {
    const running = this.#node?.running?.text ?? null;
    const { breaches } = this.#chronicle;
    if (this.#chronicle.seq !== seq) this.#chronicle.breach(`it stands at entry ${this.#chronicle.seq} instead of ${seq}`);
    if (running !== step) this.#chronicle.breach(`${running} runs instead of ${step}`);
    if (breaches.length > 0) throw new Error(breaches.join("\n"));
  }
}
