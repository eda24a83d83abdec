/** What a public thread is to the tests: an order of events, how it must end, and the one guard without which it ends as it did there. */
import type { CheckoutPolicy } from "../../machines/context.ts";
import { TerminalError } from "../../machines/errors.ts";
import type { ServiceOptions } from "./service.ts";
import type { Desk } from "./thread-desk.ts";
import type { Removal } from "./thread-removals.ts";

export interface Thread {
  /** The thread's number, or the hard case's. */
  readonly thread: string;
  readonly name: string;
  readonly policy?: Partial<CheckoutPolicy>;
  readonly aroundProvider?: NonNullable<ServiceOptions["aroundProvider"]>;
  /** Plays the thread's order of events; what is wrong with the end of it. */
  readonly play: (desk: Desk) => Promise<readonly string[]>;
  readonly guard: Removal;
  /** What is wrong without the guard. "parked: I5": an invariant (docs/invariants.md) stopped it before it was as wrong as there. */
  readonly goesWrong: readonly string[];
  /** Each of these alone changes nothing: the others hold. */
  readonly spare?: readonly Removal[];
}

/** For a step's place: there is no going on. */
export const failForGood = () => Promise.reject(new TerminalError("OUT_OF_STOCK", "The last one was sold meanwhile."));

/** Of a payment that was asked for. */
export function idsOf({ pcrId, attemptId }: { readonly pcrId: string | null; readonly attemptId: string | null }) {
  if (pcrId === null || attemptId === null) throw new Error("The payment was asked for.");
  return { pcrId, attemptId };
}
