/** Finds a checkout for the caller that it belongs to. */
import type { Context } from "hono";
import type { CheckoutOrchestrator } from "../runtime/orchestrator.ts";
import type { StoredView } from "../runtime/stored-views.ts";
import type { AppDeps, EdgeEnv } from "./app-deps.ts";
import { problemResponse } from "./error-response.ts";
import { problem, type Problem } from "./problems.ts";

/** Null = there is none, or it is another caller's: the two must look alike. */
export async function ownCheckout(
  orchestrator: Pick<CheckoutOrchestrator, "view">,
  id: string,
  caller: string,
): Promise<StoredView | null> {
  // Anything else can't be an id of ours, and some of it (NUL) can't be asked of a database.
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(id)) return null;
  const stored = await orchestrator.view(id);
  return stored?.caller === caller ? stored : null;
}

export function unknownCheckout(): Problem {
  return problem("NOT_FOUND", "There is no checkout with this id that belongs to this caller.");
}

/** What its row says is too little to be shown as the checkout. */
export function otherVersion({ view }: StoredView): Problem {
  const detail = "Another version of this service runs the checkout, and this node can't read it. Send the same request again.";
  return problem("OTHER_VERSION", detail, { executionContextId: view.executionContextId });
}

/** For what is asked of one checkout: whatever `work` throws is answered with the checkout's id. */
export async function onOwnCheckout(
  c: Context<EdgeEnv>,
  deps: Pick<AppDeps, "orchestrator">,
  id: string,
  work: () => Promise<Response>,
): Promise<Response> {
  if ((await ownCheckout(deps.orchestrator, id, c.get("caller"))) === null) return problemResponse(unknownCheckout());
  c.set("executionContextId", id);
  return work();
}
