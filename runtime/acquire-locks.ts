import { TransientError } from "../machines/errors.ts";
import type { Store } from "../persistence/store.ts";
import type { Execute } from "../steps/step.ts";
import type { LockKeeper } from "./lock-keeper.ts";

/** How soon a payment group that another checkout holds durably is looked at again. */
const BUSY_RETRY_MS = 1_000;

/**
 * "Distributed Lock Acquisition: Acquire locks on execution context and payment groups." First the durable
 * rows, which keep two checkouts off one group for as long as people pay; then the DLM's locks.
 */
export function acquireLocks(
  store: Pick<Store, "claimPaymentGroups">,
  keeper: Pick<LockKeeper, "hold">,
): Execute<"acquireLocks"> {
  return async ({ executionContextId, paymentGroupIds }, signal) => {
    const claim = await store.claimPaymentGroups(executionContextId, paymentGroupIds);
    if (claim !== null) {
      throw new TransientError("LOCKED", `${claim.busy} belongs to another checkout.`, {
        retryAfterMs: BUSY_RETRY_MS,
        details: { key: claim.busy },
      });
    }
    // Nobody waits for this any more: locks taken now would be held by no one.
    signal.throwIfAborted();
    return { tokens: await keeper.hold(executionContextId, paymentGroupIds) };
  };
}
