/**
 * Which versions of the machine this build can go on with. It is data for whoever runs checkouts; decisions are made by
 * the machine alone, so this folder is no part of the machine's hash.
 */
import { checkoutMachine, type CheckoutMachine } from "../checkout.ts";
import { MACHINE_HASH } from "../version.ts";

/** XState's own persisted snapshot, and the timers that were set (id → due, milliseconds since the epoch). */
export interface StoredState {
  readonly snapshot: unknown;
  readonly timers: Readonly<Record<string, number>>;
}

/** What a journal entry says happened, and where it led. */
export interface RecordedEntry {
  readonly event: { readonly type: string; readonly [field: string]: unknown };
  /** The state's dotted path. */
  readonly to: string;
  /** Null: this migration changes contexts, so the hash that was recorded says nothing. */
  readonly contextHash: string | null;
}

/** From another version's words to those of the current machine. Pure, and total over what that version can store. */
export interface Migration {
  readonly state: (stored: StoredState) => StoredState;
  /** Entries after the checkpoint were written by that version, and are folded by this one. */
  readonly entry: (recorded: RecordedEntry) => RecordedEntry;
}

/** For a version with which the current machine goes on as it is: `npm run deploy-check` says of which that is true. */
export const GOES_ON: Migration = { state: (stored) => stored, entry: (recorded) => recorded };

/** Checkouts of any other version are left alone. One that is in both is migrated. */
export interface MachineVersions {
  readonly current: { readonly hash: string; readonly machine: CheckoutMachine };
  /** By hash: what that version stored goes on under the current machine once it is migrated. */
  readonly migrations: Readonly<Record<string, Migration>>;
  /** By hash: that version's own code, kept beside the current one until its checkouts have ended. */
  readonly pinned: Readonly<Record<string, CheckoutMachine>>;
}

export const VERSIONS: MachineVersions = {
  current: { hash: MACHINE_HASH, machine: checkoutMachine },
  migrations: {},
  pinned: {},
};
