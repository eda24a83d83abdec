/** One actor over hand-driven ports: a commit is applied, and a step ends, when the test says so. */
import { assign, fromPromise } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutContext } from "../../machines/context.ts";
import { TransientError } from "../../machines/errors.ts";
import type { ActorName, Actors } from "../../machines/step-inputs.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { Commit, CommitResult, InboxEvent, StoredAnswer } from "../../persistence/store.ts";
import { CheckoutActor, type Message, type StopReason } from "../../runtime/checkout-actor.ts";
import { Committer } from "../../runtime/committer.ts";
import { begin } from "../../runtime/engine.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { ActorState } from "../../runtime/transition-commit.ts";
import { newContext } from "../support/checkout-context.ts";
import { countingIds, idle, ManualClock, SILENT } from "../support/ports.ts";

const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
export const INPUT = { executionContextId, userId, cartId, cartVersion, policy };
export const REFUSED: CommitResult = { kind: "refused", seq: 9, fence: 2, owner: "node_2" };

export interface RunningStep {
  readonly src: string;
  readonly input: unknown;
  readonly signal: AbortSignal;
  end(output: unknown): Promise<void>;
  fail(error: Error): Promise<void>;
}

interface PendingCommit {
  readonly commit: Commit;
  answer(result?: CommitResult): Promise<void>;
}

/** Parts of the machine that have a bug. */
interface Bugs {
  readonly guard?: () => boolean;
  /** What the action keepFlags makes of the context instead. */
  readonly keepFlags?: Partial<CheckoutContext>;
}

export function setup(options: Bugs = {}) {
  const clock = new ManualClock();
  const counters = new Counters();
  const steps: RunningStep[] = [];
  const commits: PendingCommit[] = [];
  const stops: { reason: StopReason; unread: readonly Message[] }[] = [];
  const transitions: string[] = [];
  const loadInbox = async (): Promise<readonly InboxEvent[]> => controls.inbox;
  const controls = {
    mayWrite: true,
    inbox: [] as InboxEvent[],
    loadInbox,
    answerFor: (_view: CheckoutView): StoredAnswer | null => null,
  };
  const commit = ([one]: readonly Commit[]) =>
    new Promise<readonly CommitResult[]>((resolve) => {
      if (one === undefined) throw new Error("A batch has a commit.");
      commits.push({ commit: one, answer: (result = { kind: "applied", signals: 0 }) => (resolve([result]), idle()) });
    });
  const machine = checkoutMachine.provide({
    actors: {
      resolveFeatureFlags: handDriven("resolveFeatureFlags", steps),
      createPaymentGroup: handDriven("createPaymentGroup", steps),
      handleRollback: handDriven("handleRollback", steps),
    },
    ...(options.guard === undefined ? {} : { guards: { mayRetryStep: options.guard } }),
    ...(options.keepFlags === undefined ? {} : { actions: { keepFlags: assign(options.keepFlags) } }),
  });
  const store = { commit, isLastCommit: async () => false };
  const newActor = (state: ActorState) =>
    new CheckoutActor(
      INPUT.executionContextId,
      {
        machine,
        committer: new Committer({ store, clock, log: SILENT, counters, mayWrite: () => controls.mayWrite }),
        clock,
        ids: countingIds(),
        log: SILENT,
        counters,
        answerFor: (view) => controls.answerFor(view),
        loadInbox: () => controls.loadInbox(),
        onTransition: ({ entry }) => transitions.push(entry.to),
        onStop: (_actor, reason, unread) => stops.push({ reason, unread }),
      },
      state,
    );
  const actor = newActor({ snapshot: begin(machine, INPUT), timers: {}, seq: 1, fence: 1, isReleased: false, isAnswered: false });
  const start = async () => (actor.tell({ kind: "start" }), idle());
  const cancel = async () => (actor.tell(CANCEL), idle());
  return { machine, newActor, clock, counters, steps, commits, stops, transitions, controls, actor, start, cancel };
}

export const CANCEL = {
  kind: "inbox",
  event: { source: "api", eventId: "cancel", event: { type: "CANCEL" } },
} as const satisfies Message;

export function handDriven<Name extends ActorName>(src: Name, steps: RunningStep[]) {
  return fromPromise<Actors[Name]["output"], Actors[Name]["input"]>(
    ({ input, signal }) =>
      new Promise((resolve, reject) => {
        steps.push({
          src,
          input,
          signal,
          end: (output) => (resolve(output as Actors[Name]["output"]), idle()),
          fail: (error) => (reject(error), idle()),
        });
      }),
  );
}

export function last<One>(list: readonly One[]): One {
  const found = list.at(-1);
  if (found === undefined) throw new Error("There is none yet.");
  return found;
}

/** With the first step, the flags, in flight. */
export async function started(options: Parameters<typeof setup>[0] = {}) {
  const bundle = setup(options);
  await bundle.start();
  await last(bundle.commits).answer();
  return bundle;
}

/** With the second step in flight: from here on a cancel has something to undo. */
export async function creatingGroups() {
  const bundle = await started();
  await last(bundle.steps).end({ flags: {} });
  await last(bundle.commits).answer();
  return bundle;
}

/** With the first step failed once, backing off. */
export async function backingOff(retryAfterMs = 1_000) {
  const bundle = await started();
  await last(bundle.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs }));
  await last(bundle.commits).answer();
  return bundle;
}
