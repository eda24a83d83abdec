/** What must hold after a sequence besides the invariants (scripts/invariants): what was asked for, and when. A line a breach. */
import { recordBreaches } from "../../scripts/invariants/breaches.ts";
import type { Evidence } from "../../scripts/invariants/evidence.ts";
import { heardCaptures } from "../../scripts/invariants/money.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import type { Requirement } from "../simulation/fake-payments.ts";
import type { World } from "./world.ts";

export interface Ending {
  readonly world: World;
  readonly evidence: Evidence;
  readonly isCompleted: boolean;
  readonly requirement: Requirement;
  /** For each cancellation that was asked for: whether the checkout was past its pivot then. */
  readonly cancelledPastPivot: readonly boolean[];
  /** The provider had captured before the letters came, and had told nobody. */
  readonly isPaidUnheard: boolean;
}

type Law = (ending: Ending) => readonly string[];

/** Nothing that the node logs as trouble happens on the way, nor anything that no correct orchestrator asks for. */
const goesQuietly: Law = ({ world }) => [...world.troubles, ...world.participants.effects.violations];

const hearsCancelBeforeItsPivot: Law = ({ isCompleted, cancelledPastPivot }) => [
  ...breach(isCompleted && cancelledPastPivot.includes(false), "it was cancelled before its pivot, and completed"),
  ...breach(!isCompleted && cancelledPastPivot.includes(true), "it was cancelled after its pivot, and rolled back"),
];

const confirmsWhatIsPaid: Law = ({ isCompleted, evidence, requirement, isPaidUnheard, cancelledPastPivot }) => {
  if (isCompleted) return [];
  const { journal } = evidence;
  const isPaying = (event: JournalEntry["event"]) => heardCaptures(event).some(({ amount }) => amount === requirement.amount);
  const heard = journal.filter(({ event }) => isPaying(event));
  const isPaidInTime = heard.some(({ from, at }) => isWaiting(from ?? "") && at < requirement.dueAt);
  const begun = journal.find(({ from, to }) => isUndoing(to) && !isUndoing(from ?? ""));
  const isPaidBefore = heard.some(({ seq }) => begun !== undefined && seq < begun.seq);
  const isAllowed = begun?.event.type === "CANCEL" || begun?.event.type.startsWith("xstate.error.actor.") === true;
  return [
    ...breach(isPaidInTime, "it was paid in time while it waited, and rolled back"),
    ...breach(isPaidBefore && !isAllowed, `it was known as paid, and rolled back by ${begun?.event.type}`),
    ...breach(isPaidUnheard && cancelledPastPivot.length === 0, "the provider had captured in time, and it was rolled back"),
  ];
};

const LAWS: readonly Law[] = [goesQuietly, hearsCancelBeforeItsPivot, confirmsWhatIsPaid];

export async function breachesOf(ending: Ending): Promise<readonly string[]> {
  const unsettled = await ending.world.store.unsettled(-1, 1);
  return [
    ...recordBreaches(ending.evidence),
    ...LAWS.flatMap((law) => law(ending)),
    ...breach(unsettled.length > 0, "the store has unsettled money"),
  ];
}

function isUndoing(path: string): boolean {
  return path.startsWith("PROCESSING.undoing.");
}

function isWaiting(path: string): boolean {
  return /\.settling\.(awaitingPayment|polling)$/.test(path);
}

function breach(isBroken: boolean, message: string): readonly string[] {
  return isBroken ? [message] : [];
}
