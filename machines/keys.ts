/** Idempotency keys towards the participants: `<contextId>:<step>[:<round>]`, the same for every try of a step. */

export type StepName =
  | "resolveFeatureFlags"
  | "createPaymentGroup"
  | "acquireLocks"
  | "STEP_1"
  | "STEP_2"
  | "STEP_3"
  | "STEP_4"
  | "STEP_5"
  | "STEP_6"
  | "STEP_7"
  | "STEP_8"
  | "STEP_9"
  | "STEP_10";

/** A round changes only by a committed transition (another payment attempt), never by a retry or a restart. */
export function stepKey(executionContextId: string, step: StepName, round?: number): string {
  return round === undefined ? `${executionContextId}:${step}` : `${executionContextId}:${step}:${round}`;
}

/** `round`, from 1, changes only when the provider took an accepted refund back. */
export function refundKey(executionContextId: string, pspReference: string, round: number): string {
  return `${executionContextId}:refund${round === 1 ? "" : `-${round}`}:${pspReference}`;
}
