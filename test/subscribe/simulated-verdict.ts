/** What has to be so when faults are over and time has gone on. */
import type { Handling, Ledger } from "./simulated-ledger.ts";
import type { World } from "./simulated-process.ts";
import type { PlannedEvent, Scenario } from "./simulated-scenario.ts";

/** A product that gives an event up has seen it fail as often in one process, where as many attempts are asked for. */
const REJECTIONS_SEEN_MIN = 2;

/** Whether nothing is left to happen: all is acknowledged but what has to wait, and that is told. */
export function hasCome(world: World): boolean {
  const { consumer, scenario } = world;
  const { length } = waitingIn(world);
  if (consumer.unacknowledged.size !== length || consumer.stored.length !== publicationsIn(scenario)) return false;
  return [...scenario.checkouts.keys()].every((checkout) => isTold(checkout, world));
}

export function breachesOf(world: World): string[] {
  const { scenario, consumer } = world;
  const breaches = world.bucket.setBack.map((what) => `progress was set back: ${what}`);
  const unacknowledged = [...consumer.unacknowledged.values()].map(({ data }) => new TextDecoder().decode(data));
  const [left, waiting] = [unacknowledged.map(idIn).toSorted().join(), waitingIn(world).toSorted().join()];
  if (left !== waiting) breaches.push(`not acknowledged are [${left}], though only [${waiting}] have to wait`);
  for (const [checkout, events] of scenario.checkouts) {
    if (!isTold(checkout, world)) breaches.push(`nobody was told that ${checkout} waits`);
    const stop = stopIn(events, world);
    for (const [index, planned] of events.entries()) {
      breaches.push(...(index < stop ? breachesBefore(planned, world) : breachesFrom(planned, world)));
    }
    breaches.push(...disorderIn(checkout, world));
  }
  return [...breaches, ...wordsIn(world)];
}

/** Where a checkout stops for good: at its first poisoned event, or the first that never comes. After its last: nowhere. */
function stopIn(events: readonly PlannedEvent[], { scenario, ledger }: World): number {
  const { afterAttempts, onLoss } = scenario;
  const isStop = (planned: PlannedEvent) => {
    const { isWanted, behaviour, publishedAtMs } = planned;
    if (publishedAtMs.length === 0) return onLoss === "wait";
    // It came so late that the subscriber had gone on without it.
    if (ledger.isSkipped(planned)) return false;
    return afterAttempts === "stop" && isWanted && behaviour.kind === "poison";
  };
  const found = events.findIndex(isStop);
  return found < 0 ? events.length : found;
}

/** Ids, one for each message. */
function waitingIn(world: World): readonly string[] {
  const waiting = [...world.scenario.checkouts.values()].flatMap((events) => events.slice(stopIn(events, world)));
  return waiting.flatMap(({ event, publishedAtMs }) => publishedAtMs.map(() => event.id));
}

function publicationsIn({ checkouts, malformedAtMs }: Scenario): number {
  return [...checkouts.values()].flat().flatMap(({ publishedAtMs }) => publishedAtMs).length + malformedAtMs.length;
}

/** Whether somebody was told of what keeps this checkout waiting, if anything does. */
function isTold(checkout: string, world: World): boolean {
  const { scenario, ledger } = world;
  const events = scenario.checkouts.get(checkout) ?? [];
  const stop = stopIn(events, world);
  const planned = events[stop];
  if (planned === undefined) return true;
  if (planned.publishedAtMs.length > 0) {
    return ledger.told.some(({ letter }) => letter.outcome === "stopped" && letter.event?.id === planned.event.id);
  }
  const isSeen = events.slice(stop).some(({ publishedAtMs }) => publishedAtMs.length > 0);
  const isMissing = ({ from, to }: { readonly from: number; readonly to: number }) =>
    from <= planned.position && planned.position <= to;
  return !isSeen || ledger.gaps.some((gap) => gap.checkout === checkout && !gap.isStored && isMissing(gap.missing));
}

/** Of an event that has nothing in its way. */
function breachesBefore(planned: PlannedEvent, { scenario, ledger }: World): string[] {
  const { event, isWanted, behaviour, publishedAtMs } = planned;
  const effects = ledger.effects.filter((handling) => handling.event.id === event.id);
  const letters = ledger.letters.filter(({ eventId }) => eventId === event.id);
  const isExpected = isWanted && publishedAtMs.length > 0 && behaviour.kind !== "poison";
  const breaches = scenario.effects === "transaction" ? [] : repetitionsIn(effects, ledger.countCut.bind(ledger));
  if (scenario.effects === "transaction" && effects.length > 1)
    breaches.push(`${event.id} had its effect ${effects.length} times`);
  if (!isExpected && effects.length > 0) breaches.push(`${event.id} had an effect`);
  const isSkipped = ledger.isSkipped(planned);
  if (isExpected && effects.length + letters.length === 0 && !isSkipped) breaches.push(`${event.id} never had its effect`);
  if (behaviour.kind === "poison" && isWanted && publishedAtMs.length > 0 && !isSkipped) {
    const told = ledger.told.filter(({ letter }) => letter.event?.id === event.id && letter.outcome === "dead-lettered");
    if (letters.length === 0 || told.length === 0) breaches.push(`${event.id} is not in the dead letters, or nobody was told`);
  }
  const given = letters.find(({ handling }) => handling?.isRecorded === true);
  if (given !== undefined && effects.length > 0) breaches.push(`${event.id} had its effect and is in the dead letters`);
  return breaches;
}

/** Of an event that waits for good, or that others wait for. */
function breachesFrom({ event }: PlannedEvent, { ledger }: World): string[] {
  const effects = ledger.effects.filter((handling) => handling.event.id === event.id);
  return effects.length > 0 ? [`${event.id} had its effect, though it or one before it can't be handled`] : [];
}

/**
 * An effect outside the record's transaction may be repeated in one case: of two handlings of an event that had their
 * effect, the one that began first was cut: its process was killed, stopped, or lost its lease before it was told of the
 * record. Then it is another process's, or that of another lease.
 */
function repetitionsIn(effects: readonly Handling[], onCut: () => void): string[] {
  return effects.slice(1).flatMap((second, index) => {
    const first = effects[index];
    if (first === undefined) return [];
    const isSameTerm = first.member === second.member && first.term === second.term;
    const begunFirst = first.number < second.number ? first : second;
    onCut();
    return isSameTerm || begunFirst.isRecorded ? [`${second.event.id} had its effect again, though it was recorded`] : [];
  });
}

/** First effects are in the order of the checkout. A handling that was cut may come after its event was given up or skipped. */
function disorderIn(checkout: string, { ledger }: World): string[] {
  const given = new Set(ledger.letters.map(({ eventId }) => eventId));
  const ours = ledger.effects.filter(({ event }) => event.subject === checkout);
  const firsts = ours.filter((handling) => ours.find(({ event }) => event.id === handling.event.id) === handling);
  const inOrder = firsts.filter((handling) => {
    const isGivenUp = given.has(handling.event.id) || ledger.isSkipped(handling);
    return handling.isRecorded || !isGivenUp;
  });
  const positions = inOrder.map(({ position }) => position);
  return positions.join() === positions.toSorted((a, b) => a - b).join()
    ? []
    : [`${checkout} had its effects in the order ${positions.join()}`];
}

/** What was told, and what was put aside. */
function wordsIn(world: World): string[] {
  const { scenario, ledger } = world;
  const breaches: string[] = [];
  const told = ledger.told.filter(({ letter }) => letter.outcome === "stopped");
  for (const { member, term, letter } of told) {
    const same = told.filter((other) => other.term === term && other.letter.event?.id === letter.event?.id);
    if (same.length > 1) breaches.push(`${member.name} told of ${letter.event?.id} ${same.length} times`);
  }
  for (const { eventId, handling } of ledger.letters) {
    if (eventId === null) continue;
    if (scenario.afterAttempts === "stop") breaches.push(`${eventId} is in the dead letters`);
    const seen = ledger.handlings.filter((other) => other.event.id === eventId && other.member === handling?.member);
    if (seen.length < Math.min(REJECTIONS_SEEN_MIN, scenario.limits.attemptsMax ?? 0)) {
      breaches.push(`${eventId} was given up after ${seen.length} handlings`);
    }
  }
  const malformed = ledger.letters.filter(({ eventId }) => eventId === null).length;
  if (malformed < scenario.malformedAtMs.length) breaches.push("what is no event is not in the dead letters");
  for (const gap of ledger.gaps) {
    const there = isStoredBy(gap, world);
    if (!gap.isStored && there !== undefined) breaches.push(`${there.event.id} was told missing, though it is stored`);
    const isEarly = gap.isStored && gap.waitedMs < (scenario.limits.gapAgainMs ?? 0);
    if (isEarly) breaches.push(`${gap.waiting.id} was told to wait for what is stored and on its way, after ${gap.waitedMs} ms`);
  }
  return breaches;
}

/** Of those that were told missing, one that was there already when the stream was asked. */
function isStoredBy({ checkout, missing, askedAtMs }: Ledger["gaps"][number], world: World): PlannedEvent | undefined {
  const stored = world.consumer.stored.filter(({ storedAt }) => storedAt < askedAtMs);
  const ids = new Set(stored.map(({ data }) => idIn(new TextDecoder().decode(data))));
  const events = world.scenario.checkouts.get(checkout) ?? [];
  return events.find(({ event, position }) => missing.from <= position && position <= missing.to && ids.has(event.id));
}

function idIn(text: string): string {
  return text.startsWith("{") ? (JSON.parse(text) as { readonly id: string }).id : text;
}
