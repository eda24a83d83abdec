/**
 * A released version under the present code: each of its states is taken up as it was stored, and each event of it must
 * lead where it led. Events after a checkpoint are folded by whoever takes the checkout over, so a decision that changed
 * is a checkout that parks, or a step that runs again under another key.
 */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import { canonicalJson } from "../../machines/canonical-json.ts";
import type { MachineVersions, Migration, RecordedEntry, StoredState } from "../../machines/released/registry.ts";
import {
  decide,
  hashContext,
  persistedSteps,
  runningSteps,
  statePath,
  type CheckoutSnapshot,
  type StampedEvent,
  type StepStart,
  type Timers,
} from "../../runtime/engine.ts";
import { hydrateFitting } from "../../runtime/fit.ts";
import { eventKey } from "../reachable/keys.ts";
import { firstDifference } from "./first-difference.ts";
import { explain, judge, type Difference, type Judgement } from "./judgement.ts";
import type { ReleasedEdge, ReleasedGraph, ReleasedState } from "../reachable/released-versions.ts";

/** In the order of the file, states with edges only: the others are where these lead. */
export function* judgeReleased(versions: MachineVersions, graph: ReleasedGraph): Generator<Judgement> {
  for (const state of graph.states) {
    const { edges } = state;
    if (edges === undefined) continue;
    yield judge(versions, graph.hash, (machine, migration) => differenceOf(machine, migration, graph, { ...state, edges }));
  }
}

function differenceOf(
  machine: CheckoutMachine,
  migration: Migration,
  graph: ReleasedGraph,
  state: ReleasedState & { readonly edges: readonly ReleasedEdge[] },
): Difference | null {
  const taken = takenUp(machine, migration, state);
  if ("message" in taken) return taken;
  for (const [eventIndex, arrivalIndex] of state.edges) {
    const [event, arrival] = [graph.events[eventIndex], graph.states[arrivalIndex]];
    if (event === undefined || arrival === undefined) throw new Error(`${graph.hash} names an edge that it doesn't hold.`);
    const message = differenceAfter(machine, migration, taken, event, arrival);
    if (message !== null) return { path: state.path, event: eventKey(event), message };
  }
  return null;
}

interface TakenUp {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
}

function takenUp(machine: CheckoutMachine, migration: Migration, state: ReleasedState): TakenUp | Difference {
  try {
    const stored = migration.state(state);
    return { snapshot: hydrateFitting(machine, stored), timers: stored.timers };
  } catch (error) {
    return { path: state.path, event: null, message: explain(error) };
  }
}

/** What is otherwise after one event, in a sentence's half. */
function differenceAfter(
  machine: CheckoutMachine,
  migration: Migration,
  { snapshot, timers }: TakenUp,
  event: RecordedEntry["event"],
  arrival: ReleasedState,
): string | null {
  try {
    const entry = migration.entry({ event, to: arrival.path, contextHash: arrival.contextHash });
    const next = decide(machine, snapshot, timers, entry.event as StampedEvent).snapshot;
    return differenceFrom(entry, migration.state(arrival), next);
  } catch (error) {
    return explain(error);
  }
}

function differenceFrom(entry: RecordedEntry, stored: StoredState, next: CheckoutSnapshot): string | null {
  const path = statePath(next);
  if (path !== entry.to) return `leads to ${path}, and led to ${entry.to}`;
  const { context } = stored.snapshot as { readonly context: unknown };
  const isSame =
    entry.contextHash === null ? firstDifference(context, next.context) === null : hashContext(next) === entry.contextHash;
  // Equal contexts under unequal hashes: the way in which they are hashed has changed.
  if (!isSame) return `leaves another context: ${firstDifference(context, next.context) ?? "equal, but hashed in another way"}`;
  // A step's input holds its idempotency key, and is no part of the context.
  const [then, now] = [byId(persistedSteps(stored.snapshot)), byId(runningSteps(next))];
  return canonicalJson(then) === canonicalJson(now) ? null : `starts another step: ${firstDifference(then, now) ?? ""}`;
}

function byId(steps: readonly StepStart[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(steps.map(({ id, src, input }) => [id, { src, input }]));
}
