/** Between the machine's actors and the steps: one kind of call can be held, or fail once. */
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { UndoName } from "../../machines/context.ts";
import type { ActorName } from "../../machines/step-inputs.ts";
import type { Executions } from "../../steps/actors.ts";

/** "call": before it has any effect. "reply": the effect has happened, and nobody has heard of it. */
export type Moment = "call" | "reply";

export interface CallKind {
  readonly actor: ActorName;
  readonly undo?: UndoName;
  readonly at: Moment;
}

export interface Failure extends CallKind {
  readonly class: "TRANSIENT" | "TERMINAL";
}

export class CallDesk {
  #held: (() => void)[] = [];
  #failures: Failure[];
  #isOpen = false;

  /** Each of `failures` happens once, in their order; then calls of the kind of `gate` are held until it opens. */
  constructor(
    private readonly gate: CallKind | null,
    failures: readonly Failure[] = [],
  ) {
    this.#failures = [...failures];
  }

  /** Lets go what is held, in the order in which it came, and holds nothing more. */
  open(): void {
    this.#isOpen = true;
    for (const letGo of this.#held) letGo();
    this.#held = [];
  }

  around(executions: Executions): Executions {
    const names = Object.keys(executions) as ActorName[];
    const guarded = names.map((name) => {
      const execute = executions[name] as (input: unknown, signal: AbortSignal) => Promise<unknown>;
      return [name, (input: unknown, signal: AbortSignal) => this.#pass(name, input, () => execute(input, signal))];
    });
    return Object.fromEntries(guarded) as Executions;
  }

  async #pass(actor: ActorName, input: unknown, execute: () => Promise<unknown>): Promise<unknown> {
    const isMeant = (kind: CallKind) =>
      kind.actor === actor && (kind.undo === undefined || kind.undo === (input as { readonly undo?: UndoName }).undo);
    const [failure] = this.#failures;
    if (failure !== undefined && isMeant(failure)) {
      this.#failures.shift();
      if (failure.at === "reply") await execute();
      throw failure.class === "TRANSIENT"
        ? new TransientError("UNAVAILABLE", "Nobody knows whether it was done.")
        : new TerminalError("REFUSED", "It was refused.");
    }
    const { gate } = this;
    if (gate === null || !isMeant(gate)) return execute();
    if (gate.at === "call") await this.#turn();
    const reply = execute();
    if (gate.at === "reply") await Promise.allSettled([reply]).then(() => this.#turn());
    return reply;
  }

  #turn(): Promise<void> {
    return this.#isOpen ? Promise.resolve() : new Promise((letGo) => this.#held.push(letGo));
  }
}
