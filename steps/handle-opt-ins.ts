import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 4: "Handle OptIn Creation/Modification: Create or update opt-ins." */
export function handleOptinCreationAndModification({ services, requests }: StepDeps): Step<"handleOptinCreationAndModification"> {
  return {
    execute: async (call, signal) => {
      const { user, optIns = [] } = await requests.load(call.executionContextId);
      return services.optIns.handleOptinCreationAndModification({ ...call, signal, userId: user.userId, optIns });
    },
    compensate: (call) => undone(services.optIns.undoHandleOptinCreationAndModification(call)),
  };
}
