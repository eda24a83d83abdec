/**
 * The only file that knows XState's internals. It decides (pure) and runs single steps; it never runs the
 * machine as a live actor, because a live actor starts a step's promise before anyone could commit the
 * transition that led to it, loses its timers on restore and re-persists on restore.
 */
import { hash } from "node:crypto";
import {
  createActor,
  initialTransition,
  type AnyActorRef,
  type AnyMachineSnapshot,
  type PromiseActorLogic,
  type SnapshotFrom,
} from "xstate";
import { canonicalJson } from "../machines/canonical-json.ts";
import type { CheckoutMachine } from "../machines/checkout.ts";
import type { CheckoutInput } from "../machines/context.ts";
import { classify, InvariantError, type StepFailure } from "../machines/errors.ts";
import type { OutboundEvent } from "../machines/events.ts";
import { pathOf } from "../machines/view.ts";

export type CheckoutSnapshot = SnapshotFrom<CheckoutMachine>;
/** What the machine is fed: JSON only, stamped with the moment and the chance that go with it. */
export interface StampedEvent {
  readonly type: string;
  readonly at: number;
  readonly [field: string]: unknown;
}

/** One invocation that a state asks for. */
export interface StepStart {
  readonly id: string;
  readonly src: string;
  readonly input: unknown;
}

/** Timers by id (the type of the event that they send): when they are due, in milliseconds since the epoch. */
export type Timers = Readonly<Record<string, number>>;

/** What one event leads to. Nothing of it has happened yet. */
export interface Decision {
  readonly snapshot: CheckoutSnapshot;
  readonly starts: readonly StepStart[];
  readonly stops: readonly string[];
  readonly timers: Timers;
  readonly emitted: readonly OutboundEvent[];
}

/** The first state of a new checkout. */
export function begin(machine: CheckoutMachine, input: CheckoutInput): CheckoutSnapshot {
  const [snapshot] = initialTransition(machine, input);
  return snapshot;
}

/** Pure: the same snapshot, timers and event always give the same decision. Throws what a guard or assign throws. */
export function decide(machine: CheckoutMachine, snapshot: CheckoutSnapshot, timers: Timers, event: StampedEvent): Decision {
  const actions: MachineAction[] = [];
  const scope = { ...inertScope(machine), actionExecutor: (action: MachineAction) => void actions.push(action) };
  // The mailbox also carries XState's own done, error and after events, which its types leave out.
  const next = machine.transition(snapshot, event as unknown as Parameters<CheckoutMachine["transition"]>[1], scope);
  if (next.status === "error") throw new InvariantError("The machine went into error.", { cause: next.error });
  return { snapshot: next, ...classifyActions(actions, timers, event) };
}

interface MachineAction {
  readonly type: string;
  readonly params?: unknown;
}

type ActorScope = Parameters<CheckoutMachine["transition"]>[2];
const scopes = new WeakMap<CheckoutMachine, ActorScope>();

/**
 * What XState's own `transition()` builds anew for each event: an actor that is never started, and a whole initial state
 * with it. Nothing is remembered in it, so one for each machine gives the same decisions in less than half of the time.
 */
function inertScope(machine: CheckoutMachine): ActorScope {
  const known = scopes.get(machine);
  if (known !== undefined) return known;
  // Without an input, as XState does: its own state is never looked at.
  const self = createActor(machine, {} as Parameters<typeof createActor<CheckoutMachine>>[1]);
  const nothing = () => {};
  const scope = {
    self,
    system: self.system,
    id: "",
    sessionId: "",
    logger: nothing,
    defer: nothing,
    emit: nothing,
    stopChild: nothing,
    actionExecutor: nothing,
  };
  scopes.set(machine, scope);
  return scope;
}

function classifyActions(actions: readonly MachineAction[], before: Timers, event: StampedEvent): Omit<Decision, "snapshot"> {
  const starts: StepStart[] = [];
  const stops: string[] = [];
  const emitted: OutboundEvent[] = [];
  const timers: Record<string, number> = { ...before };
  delete timers[event.type];
  for (const { type, params } of actions) {
    switch (type) {
      case "xstate.spawnChild": {
        const { id, src, input } = params as StepStart;
        starts.push({ id, src, input });
        break;
      }
      case "xstate.stopChild":
        stops.push((params as { readonly id: string }).id);
        break;
      case "xstate.raise": {
        const { id, delay } = params as { readonly id: string; readonly delay: number };
        timers[id] = event.at + delay;
        break;
      }
      case "xstate.cancel":
        delete timers[(params as { readonly sendId: string }).sendId];
        break;
      case "xstate.emit":
        emitted.push((params as { readonly event: OutboundEvent }).event);
        break;
      default:
        // An inline action or a sendTo would act before the commit, or never.
        throw new InvariantError(`The machine asks for the action ${type}, which can't be made durable.`);
    }
  }
  return { starts, stops, timers, emitted };
}

/**
 * A stored snapshot, brought back without starting anything. `machine.resolveState` would not restart the
 * steps that were running; an unstarted actor keeps them.
 */
export function hydrate(machine: CheckoutMachine, persisted: unknown): CheckoutSnapshot {
  const snapshot = createActor(machine, {
    snapshot: structuredClone(persisted) as ReturnType<CheckoutMachine["getPersistedSnapshot"]>,
  } as Parameters<typeof createActor<CheckoutMachine>>[1]).getSnapshot();
  if (snapshot.status === "error")
    throw new InvariantError("The stored snapshot does not fit this machine.", { cause: snapshot.error });
  assertRunsItsSteps(snapshot);
  return snapshot;
}

/** XState takes a foreign snapshot in silence: where an invoke was renamed since, its step would never start. */
function assertRunsItsSteps(snapshot: CheckoutSnapshot): void {
  const asked = awaitedBy(snapshot).steps.map(({ id }) => id);
  const running = runningSteps(snapshot).map(({ id }) => id);
  if (asked.toSorted().join() !== running.toSorted().join()) {
    throw new InvariantError(`The stored snapshot runs [${running.join()}], its state asks for [${asked.join()}].`);
  }
}

/** What a state waits for, as the machine defines it: the steps that run in it, and the ids of the timers that are set in it. */
export function awaitedBy(snapshot: CheckoutSnapshot): {
  readonly steps: readonly Pick<StepStart, "id" | "src">[];
  readonly timers: readonly string[];
} {
  const nodes = (snapshot as AnyMachineSnapshot)._nodes;
  return {
    steps: nodes.flatMap((node) => node.invoke.map(({ id, src }) => ({ id, src: src as string }))),
    timers: nodes.flatMap((node) => node.after.map(({ eventType }) => eventType)),
  };
}

/** XState's own persisted snapshot, as plain JSON. Serialised now, because the live object goes on changing. */
export function dehydrate(machine: CheckoutMachine, snapshot: CheckoutSnapshot): unknown {
  return toPlainJson(machine.getPersistedSnapshot(snapshot));
}

/** The steps that the state says are running: what a resume starts again. */
export function runningSteps(snapshot: CheckoutSnapshot): readonly StepStart[] {
  return Object.entries(snapshot.children as Readonly<Record<string, AnyActorRef>>).map(([id, child]) => {
    const { input } = child.getSnapshot() as { readonly input: unknown };
    return { id, src: child.src as string, input };
  });
}

/** The steps that a persisted snapshot says are running, whether or not any machine knows them. */
export function persistedSteps(persisted: unknown): readonly StepStart[] {
  const { children } = persisted as {
    readonly children: Readonly<Record<string, { readonly src: string; readonly snapshot: { readonly input: unknown } }>>;
  };
  return Object.entries(children).map(([id, child]) => ({ id, src: child.src, input: child.snapshot.input }));
}

/** The timer that ends the wait for a payment. */
export function isDeadline(timerId: string): boolean {
  return timerId.startsWith("xstate.after.paymentDeadline.");
}

export type StepOutcome =
  | { readonly kind: "done"; readonly output: unknown }
  /** `cause` is what was thrown: for the log only. */
  | { readonly kind: "failed"; readonly error: StepFailure; readonly cause?: unknown }
  /** Our bug, or corrupt data: no transition follows; the checkout is parked. */
  | { readonly kind: "broken"; readonly error: InvariantError };

/** Starts one step as the promise actor that it is; it reports later, at most once. Returns how to stop it: then it reports nothing. */
export function runStep(machine: CheckoutMachine, step: StepStart, report: (outcome: StepOutcome) => void): () => void {
  const logic = (machine.implementations.actors as Record<string, PromiseActorLogic<unknown, unknown>>)[step.src];
  if (logic === undefined) throw new InvariantError(`No implementation of ${step.src} is registered.`);
  const actor = createActor(logic, { id: step.id, input: step.input });
  actor.subscribe({
    next: (snapshot) => {
      if (snapshot.status === "done") report({ kind: "done", output: toPlainJson(snapshot.output) });
    },
    error: (error) =>
      report(
        error instanceof InvariantError ? { kind: "broken", error } : { kind: "failed", error: classify(error), cause: error },
      ),
  });
  actor.start();
  return () => actor.stop();
}

/** The event that tells the machine how a step ended. */
export function outcomeEvent(
  stepId: string,
  outcome: Exclude<StepOutcome, { readonly kind: "broken" }>,
): { readonly type: string; readonly [field: string]: unknown } {
  return outcome.kind === "done"
    ? { type: `xstate.done.actor.${stepId}`, actorId: stepId, output: outcome.output }
    : { type: `xstate.error.actor.${stepId}`, actorId: stepId, error: outcome.error };
}

export function statePath(snapshot: CheckoutSnapshot): string {
  return pathOf(snapshot.value);
}

/** A short hash of the machine's context: what a fold of the journal must arrive at again. */
export function hashContext(snapshot: CheckoutSnapshot): string {
  return hash("sha256", canonicalJson(snapshot.context)).slice(0, 16);
}

/** What the value will be after the journal: a fold must see exactly what the live machine saw. */
export function toPlainJson(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}
