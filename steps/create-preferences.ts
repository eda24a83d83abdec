import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 1: "Create Post-Selling Preferences: Create preferences for line items." */
export function createPostSellingPreferences({ services, requests }: StepDeps): Step<"createPostSellingPreferences"> {
  return {
    execute: async (call, signal) => {
      const { preferences = [] } = await requests.load(call.executionContextId);
      return services.preferences.createPostSellingPreferences({ ...call, signal, preferences });
    },
    compensate: (call) => undone(services.preferences.undoCreatePostSellingPreferences(call)),
  };
}
