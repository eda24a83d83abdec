import type { Execute, StepDeps } from "./step.ts";

/** "Feature Flag Resolution: Get feature flags based on user, device, and city." A read: nothing to undo. */
export function resolveFeatureFlags({ services, requests }: StepDeps): Execute<"resolveFeatureFlags"> {
  return async ({ executionContextId }) => {
    const { user, device } = await requests.load(executionContextId);
    return { flags: await services.flags.resolve({ ...user, ...device }) };
  };
}
