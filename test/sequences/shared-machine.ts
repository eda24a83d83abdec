/** To build a machine takes longer than to run a sequence, so all worlds share one. Only one of them lives at a time. */
import { checkoutMachine } from "../../machines/checkout.ts";
import type { ActorName } from "../../machines/step-inputs.ts";
import { checkoutActors, type Executions } from "../../steps/actors.ts";

let living: Executions | null = null;

/** From now on the machine's steps are these. */
export function bringToLife(executions: Executions): void {
  living = executions;
}

const names = Object.keys(checkoutMachine.implementations.actors) as ActorName[];
const executions = Object.fromEntries(
  names.map((name) => [
    name,
    async (input: unknown, signal: AbortSignal) => {
      if (living === null) throw new Error("No world lives");
      return (living[name] as (input: unknown, signal: AbortSignal) => Promise<unknown>)(input, signal);
    },
  ]),
) as Executions;

export const machine = checkoutMachine.provide({ actors: checkoutActors(executions) });
