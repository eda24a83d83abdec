/** What can still be said of a checkout whose journal and events retention removed: the state that it left, and the counts. */
import type { CheckoutContext } from "../../machines/context.ts";
import { breach, isCompleted, isCounting, sum, type Check } from "./breach.ts";
import { endBreaches } from "./events.ts";
import type { Evidence } from "./evidence.ts";
import { keeps } from "./money.ts";
import { taken } from "./replay.ts";

type TombstoneCheck = Check<Omit<Evidence, "effects" | "unconsumed" | "holds">>;

/** From the entry of a checkpoint to the row's, without a gap. */
const keepsItsEnd: TombstoneCheck = ({ row, checkpoint, journal }) => {
  const first = journal[0]?.seq ?? 0;
  const broken = journal.filter(({ from }, index) => index > 0 && from !== journal[index - 1]?.to).map(({ seq }) => seq);
  const isWhole = isCounting(journal.map(({ seq }) => seq - first + 1)) && journal.at(-1)?.seq === row.seq;
  return [
    ...breach(!isWhole || first > (checkpoint?.seq ?? 0), `I11: the journal kept is ${journal.map(({ seq }) => seq).join()}`),
    ...breach(broken.length > 0, `I11: entry ${broken.join()} does not begin where the one before ended`),
    ...breach(
      journal.at(-1)?.to.split(".")[0] !== row.state,
      `I1: its journal ends in ${journal.at(-1)?.to}, its row in ${row.state}`,
    ),
  ];
};

/** What is told later has the numbers that follow, also of its type. */
const countsOn: TombstoneCheck = ({ outbox, removed }) => {
  const before = sum(Object.values(removed ?? {}));
  const types = [...new Set(outbox.map(({ type }) => type))];
  const isTypeWhole = (type: string) =>
    isCounting(outbox.filter((event) => event.type === type).map(({ typeSeq }) => typeSeq - (removed?.[type] ?? 0)));
  return [
    ...breach(
      !isCounting(outbox.map(({ eventSeq }) => eventSeq - before)),
      "I13: the events have a gap after those that were removed",
    ),
    ...breach(!types.every(isTypeWhole), "I13: the events of a type have a gap after those that were removed"),
  ];
};

/** How often each was told, those included that were removed. */
const toldItsEnd: TombstoneCheck = (evidence) => {
  const { outbox, removed, books, ledger } = evidence;
  const count = (type: string) => (removed?.[type] ?? 0) + outbox.filter((event) => event.type === type).length;
  const refunds = books?.refunds ?? [];
  const standing = refunds.filter(({ hasFailed }) => !hasFailed).length;
  const byHand = ledger.filter(({ credit }) => credit === "BY_HAND").length;
  const told = count("payment_refunded");
  return [
    ...endBreaches(isCompleted(evidence), isRevertedByHand(evidence), count),
    ...breach(
      told < standing + byHand || told > refunds.length + byHand,
      `I14: ${told} refunds were told, and ${refunds.length} made, ${byHand} more by hand`,
    ),
  ];
};

const keepsThePayer: TombstoneCheck = (evidence) => {
  const context = contextOf(evidence);
  return context === undefined ? [] : keeps(evidence, context.payment.settledBy ?? undefined);
};

export const TOMBSTONE_CHECKS: readonly TombstoneCheck[] = [keepsItsEnd, countsOn, toldItsEnd, keepsThePayer];

type Tombstone = Parameters<typeof taken>[0];

function isRevertedByHand(tombstone: Tombstone): boolean {
  return contextOf(tombstone)?.undoneByHand.includes("lineItemsUpdatedEvent") ?? false;
}

function contextOf(tombstone: Tombstone): CheckoutContext | undefined {
  try {
    return taken(tombstone).context;
  } catch {
    // The replay says why.
    return undefined;
  }
}
