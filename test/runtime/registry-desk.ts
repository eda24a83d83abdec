/** Nodes that share a store in memory: each with its registry, its locks, and steps that end when the test says so. */
import { checkoutMachine } from "../../machines/checkout.ts";
import type { MachineVersions } from "../../machines/released/registry.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { Store, StoredAnswer } from "../../persistence/store.ts";
import { ActorRegistry } from "../../runtime/actor-registry.ts";
import { begin, dehydrate, hashContext, statePath } from "../../runtime/engine.ts";
import { knownHashes } from "../../runtime/machine-versions.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { MemoryStore } from "../simulation/memory-store.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { newContext } from "../support/checkout-context.ts";
import { countingIds } from "../support/ports.ts";
import { handDriven, last, type RunningStep } from "./actor-desk.ts";
import { oneVersion } from "../support/versions.ts";

const LEASE_MS = 1_000_000_000;
const { userId, policy } = newContext();
const GROUPS = [{ paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "sel_1", paymentTiming: "NOW" }] as const;

export interface Node extends Awaited<ReturnType<ReturnType<typeof setup>["node"]>> {}

export function setup() {
  const clock = new VirtualClock();
  const memory = new MemoryStore(clock);
  const ids = countingIds();
  /** Everything that waits for promises alone, and what is due. */
  const settle = () => clock.advance(0);

  /** `buildOf`: what this node's build knows, if not the version of the checkouts alone. */
  const node = async (nodeId: string, buildOf: (from: MachineVersions) => MachineVersions = (from) => from) => {
    const stubs: Partial<Store> = {};
    const calls: string[] = [];
    const steps: RunningStep[] = [];
    const counters = new Counters();
    const errors: string[] = [];
    const controls = {
      isHeld: true,
      nodeId,
      hold: async (): Promise<Readonly<Record<string, number>>> => ({}),
      answerFor: (_view: CheckoutView): StoredAnswer | null => null,
      events: 0,
    };
    const versions = buildOf(
      oneVersion(
        "hash",
        checkoutMachine.provide({
          actors: {
            resolveFeatureFlags: handDriven("resolveFeatureFlags", steps),
            createPaymentGroup: handDriven("createPaymentGroup", steps),
            acquireLocks: handDriven("acquireLocks", steps),
            handleRollback: handDriven("handleRollback", steps),
          },
        }),
      ),
    );
    await memory.heartbeat(nodeId, LEASE_MS, knownHashes(versions));
    const registry = new ActorRegistry({
      versions,
      store: withStubs(memory, stubs),
      clock,
      ids,
      log: { info: () => {}, warn: () => {}, error: (_fields, message) => errors.push(message) },
      counters,
      lease: {
        get nodeId() {
          return controls.nodeId;
        },
        isHeld: () => controls.isHeld,
      },
      lockKeeper: {
        hold: (id, groups) => (calls.push(`hold ${[id, ...groups].join(" ")}`), controls.hold()),
        release: async (id) => void calls.push(`release ${id}`),
      },
      answerFor: (view) => controls.answerFor(view),
      onEvents: () => controls.events++,
      callHolder: async (id) => void calls.push(`call ${id}`),
      checkpointEvery: 2,
    });
    const stepNames = () => steps.map(({ src }) => src);
    return { nodeId, registry, stubs, calls, steps, stepNames, counters, errors, controls };
  };

  /** Creates the checkout for this node, in the store alone. */
  const create = async (id: string, owner: string) => {
    const input = { executionContextId: id, userId, cartId: `cart_${id}`, cartVersion: 1, policy };
    const snapshot = begin(checkoutMachine, input);
    const entry = { seq: 1, at: clock.now(), event: { type: "xstate.init", input, machineHash: "hash" }, from: null };
    await memory.create({
      id,
      caller: "shop",
      userId,
      cartId: input.cartId,
      cartVersion: 1,
      idempotencyKey: id,
      requestHash: "hash",
      request: {},
      machineVersion: "1.0.0",
      machineHash: "hash",
      traceparent: null,
      state: "INITIALIZED",
      status: "PROCESSING",
      owner,
      commitId: ids.next("cmt"),
      entry: { ...entry, to: statePath(snapshot), contextHash: hashContext(snapshot) },
      checkpoint: { snapshot: dehydrate(checkoutMachine, snapshot), timers: {} },
    });
    return snapshot;
  };

  /** Its first step is in flight on `at`. */
  const begun = async (id: string, at: Node) => {
    const snapshot = await create(id, at.nodeId);
    at.registry.begin(id, { snapshot, timers: {}, seq: 1, fence: 1, isReleased: false, isAnswered: false });
    await settle();
  };

  /** It has payment groups, and its locks are being acquired. */
  const grouped = async (id: string, at: Node) => {
    await begun(id, at);
    await last(at.steps).end({ flags: {} });
    await settle();
    await last(at.steps).end({ paymentGroups: GROUPS });
    await settle();
  };

  /** The node dies: nothing more of it happens, and its checkouts are free. */
  const kill = async (dead: Node) => {
    dead.registry.haltAll();
    await memory.endLease(dead.nodeId);
  };

  const cancel = (id: string) => memory.receiveCommand("api", `${id}:cancel`, id, { type: "CANCEL" });
  return { clock, store: memory, settle, node, create, begun, grouped, kill, cancel };
}

/** The store, but for what the test does instead. */
export function withStubs(store: Store, stubs: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, name) =>
      Reflect.get(stubs, name) ??
      ((...args: unknown[]) => (Reflect.get(target, name) as (...args: unknown[]) => unknown).apply(target, args)),
  });
}
