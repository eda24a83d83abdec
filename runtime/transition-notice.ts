import type { JournalEntry } from "../persistence/store.ts";

/** One committed transition, for those who watch. */
export interface TransitionNotice {
  readonly executionContextId: string;
  readonly entry: JournalEntry;
  readonly state: string;
  readonly status: string;
}
