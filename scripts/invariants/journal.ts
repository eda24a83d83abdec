/** What the journal says of a checkout's way: every entry, one end, undone in reverse, and now at rest. */
import { UNDO_ORDER } from "../../machines/context.ts";
import { documentedStateOf, isPastPivot } from "../../machines/view.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import { breach, isCompleted, isCounting, type Check } from "./breach.ts";
import type { Evidence } from "./evidence.ts";

type JournalCheck = Check<Pick<Evidence, "row" | "journal" | "unconsumed" | "holds">>;

const entersOneEnd: JournalCheck = ({ row, journal }) => {
  const entered = journal.filter(({ from, to }) => isEnd(to) && !isEnd(from)).map(({ to }) => to);
  const left = journal.filter(({ from, to }) => isEnd(from) && rootOf(to) !== rootOf(from ?? ""));
  const last = journal.at(-1)?.to ?? "nowhere";
  return [
    ...breach(entered.length !== 1, `I1: it ended ${entered.length} times: ${entered.join()}; it stands in ${last}`),
    ...breach(left.length > 0, `I1: it left its end for ${left.map(({ to }) => to).join()}`),
    ...breach(rootOf(last) !== row.state, `I1: its journal ends in ${last}, its row in ${row.state}`),
  ];
};

const passesItsPivotOnlyToComplete: JournalCheck = (evidence) => {
  const hasPassed = evidence.journal.some(({ to }) => isPastPivot({ path: to, state: documentedStateOf(to) }));
  const isConfirming = evidence.journal.some(({ to }) => to.startsWith("PROCESSING.STEP_8.confirming"));
  return [
    ...breach(isCompleted(evidence) && !isConfirming, "I2: it completed without a pivot"),
    ...breach(!isCompleted(evidence) && hasPassed, "I2: it passed its pivot, and rolled back"),
  ];
};

/** Strict reverse is the order of first tries, and none is left out: what was put aside has its further tries later. */
const undoesInReverse: JournalCheck = ({ row, journal }) => {
  const tried = journal.flatMap(({ to }) => /undoing\.(\w+)\.running/.exec(to)?.[1] ?? []);
  const firstTries = [...new Set(tried)].filter((name) => name !== "deferred");
  const wanted = UNDO_ORDER.toReversed().slice(UNDO_ORDER.length - firstTries.length);
  return [
    ...breach(firstTries.join() !== wanted.join(), `I9: the undos were tried as ${firstTries.join()}`),
    ...breach(row.state === "COMPLETED" && tried.length > 0, "I9: it completed, and undos were tried"),
  ];
};

const isGapless: JournalCheck = ({ row, journal }) => {
  const seqs = journal.map(({ seq }) => seq);
  const broken = journal.filter(({ from }, index) => from !== (journal[index - 1]?.to ?? null)).map(({ seq }) => seq);
  return [
    ...breach(seqs.length === 0 || !isCounting(seqs), `I11: the journal has a gap: ${seqs.join()}`),
    ...breach(broken.length > 0, `I11: entry ${broken.join()} does not begin where the one before ended`),
    ...breach(row.seq !== journal.length, `I11: the row is at ${row.seq}, the journal at ${journal.length}`),
  ];
};

const STATUSES: Readonly<Record<string, string>> = { COMPLETED: "CONFIRMED", ROLLEDBACK: "ROLLED_BACK" };

const isAtRest: JournalCheck = ({ row, journal, unconsumed }) => {
  const { state, status, owner, wakeAt, parkedReason, finishedAt } = row;
  const last = journal.at(-1)?.to ?? "nowhere";
  return [
    ...breach(!last.endsWith(".atRest"), `I20: it stands in ${last}`),
    ...breach(parkedReason !== null, `I20: it is parked: ${parkedReason}`),
    ...breach(owner !== null || wakeAt !== null, `I20: ${owner ?? "nobody"} owns it, and it wakes at ${wakeAt}`),
    ...breach(finishedAt === null || status !== STATUSES[state], `I20: it is ${status} in ${state}, finished at ${finishedAt}`),
    ...breach(unconsumed.length > 0, `I20: nobody consumed ${unconsumed.map(({ eventId }) => eventId).join()}`),
  ];
};

const holdsNothing: JournalCheck = ({ holds }) => breach(holds.length > 0, `I18: it ended, and still holds ${holds.join()}`);

export const JOURNAL_CHECKS: readonly JournalCheck[] = [entersOneEnd, passesItsPivotOnlyToComplete, undoesInReverse, isGapless];

/** Of its last entry and its row alone. */
export const REST_CHECKS: readonly JournalCheck[] = [isAtRest, holdsNothing];

function isEnd(path: JournalEntry["from"]): boolean {
  return path !== null && /^(COMPLETED|ROLLEDBACK)\b/.test(path);
}

function rootOf(path: string): string {
  return path.split(".")[0] ?? path;
}
