/** What can be known of one checkout at rest, from whatever store and provider it ran on: plain data. */
import type { Capture } from "../../machines/context.ts";
import type { Checkpoint, InboxEvent, JournalEntry, LedgerEntry, PublishedEvent } from "../../persistence/store.ts";

export interface Evidence {
  readonly id: string;
  readonly row: EvidenceRow;
  /** The newest one; null = nobody looked. */
  readonly checkpoint: (Checkpoint & { readonly seq: number }) | null;
  /** From the first entry on; of a tombstone from that of a checkpoint. */
  readonly journal: readonly JournalEntry[];
  readonly outbox: readonly PublishedEvent[];
  /** Of a tombstone: how many events of each type retention removed. Null = it has been nowhere near. */
  readonly removed: Readonly<Record<string, number>> | null;
  readonly ledger: readonly LedgerEntry[];
  readonly unconsumed: readonly InboxEvent[];
  /** Null: no payment was ever requested. */
  readonly books: ProviderBooks | null;
  readonly effects: readonly Effect[];
  /** The live carts and payment groups that nobody else may take, by their ids. */
  readonly holds: readonly string[];
}

/** Times in milliseconds since the epoch. */
interface EvidenceRow {
  readonly machineHash: string;
  readonly state: string;
  readonly status: string;
  readonly seq: number;
  readonly owner: string | null;
  readonly wakeAt: number | null;
  readonly parkedReason: string | null;
  readonly finishedAt: number | null;
}

/** The provider's own word on one payment request. Amounts in minor units. */
export interface ProviderBooks {
  /** What is due. */
  readonly amount: number;
  readonly currency: string;
  /** All that it ever took, in the order in which it did. */
  readonly captures: readonly Capture[];
  readonly refunds: readonly ProviderRefund[];
  /** Attempts that could still be paid. */
  readonly open: readonly string[];
}

export interface ProviderRefund {
  readonly pspReference: string;
  readonly amount: number;
  /** As `payment_refunded` names it. */
  readonly refundId: string;
  /** It was accepted, and came back later: the money is held again. */
  readonly hasFailed: boolean;
}

/** What one call of a step left with a participant. */
export interface Effect {
  readonly operation: string;
  readonly state: "LIVE" | "CONFIRMED" | "UNDONE";
}
