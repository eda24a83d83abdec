/** What the suite of the participants is run on, and what its parts are handed. */
import type { Capture, Refund } from "../../machines/context.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import type { UndoableOperation } from "./checkout-calls.ts";

export interface ParticipantsUnderTest {
  readonly services: CheckoutServices;
  readonly bank: Bank;
  /** How much of what an operation made is in force for a checkout, by the participant's own books: none after its undo. */
  inForce(operation: UndoableOperation, executionContextId: string): Promise<number>;
  close(): Promise<void>;
}

/** The payment provider behind the participants, and the customers' banks behind it. */
export interface Bank {
  /** By what becomes of a charge at once: it is captured, declined, or waits for the customer. */
  readonly instruments: { readonly pays: string; readonly declines: string; readonly waits: string };
  /** Money is taken for an attempt, whatever became of it. */
  capture(attempt: AttemptAtBank, capture: Capture): Promise<void>;
  /** An attempt that waits is declined. */
  decline(attempt: AttemptAtBank): Promise<void>;
  /** An accepted refund comes back, and nobody is told. */
  sendBack(executionContextId: string, refund: Refund): Promise<void>;
  books(executionContextId: string): Promise<BankBooks>;
}

export interface AttemptAtBank {
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
}

/** Of one checkout; amounts in minor units. */
export interface BankBooks {
  /** Charges that the provider was asked for, and those of them that can still be paid. */
  readonly charges: number;
  readonly open: number;
  readonly captured: number;
  /** What stands: a refund that was sent back is none. */
  readonly refunded: number;
}

/** States one law. `law` is its name, and has to be unique. */
export type State = (law: string, check: () => Promise<void>) => void;
export type Open = () => ParticipantsUnderTest;
