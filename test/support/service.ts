/** A real node in this process: its edge, orchestrator, store, participants and locks, over a stage's database. */
import type { LockManager } from "../../locking/lock-manager.ts";
import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { VERSIONS, type MachineVersions } from "../../machines/released/registry.ts";
import type { Bus, CloudEvent } from "../../messaging/bus.ts";
import { InProcessBus } from "../../messaging/in-process-bus.ts";
import { sqlInboxCalls } from "../../persistence/sql-inbox-calls.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Store } from "../../persistence/store.ts";
import { acquireLocks } from "../../runtime/acquire-locks.ts";
import { withActors } from "../../runtime/machine-versions.ts";
import { Orchestrator } from "../../runtime/orchestrator.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { Counters, type Log } from "../../runtime/telemetry.ts";
import { answerFor } from "../../server/answer.ts";
import type { ApiKey } from "../../server/api-keys.ts";
import { createApp } from "../../server/app.ts";
import type { App } from "../../server/app-deps.ts";
import { openParticipants } from "../../server/participants.ts";
import type { PaymentDoor } from "../../server/payment-events.ts";
import { openProviderDoor } from "../../server/provider-door.ts";
import { systemClock as clock, systemIds } from "../../server/system-ports.ts";
import type { PaymentProvider } from "../../services/payment-provider.ts";
import { SqlPayments } from "../../services/payments.ts";
import { checkoutActors, checkoutExecutions, type Executions } from "../../steps/actors.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import { clientOf, WEBHOOK_SECRET, type Client } from "./client.ts";
import type { Stage } from "./stage.ts";

/** Small, so that a run of retries takes a second; jitter is off, so that it takes the same second each time. */
const POLICY: CheckoutPolicy = {
  stepRetryMax: 5,
  stepRetryBudgetMs: 60_000,
  undoRetryMax: 2,
  paymentDeadlineMs: 900_000,
  paymentAttemptsMax: 3,
  paymentPollMs: 60_000,
};
const ids = { ...systemIds, random: () => 0 };

export interface ServiceOptions {
  readonly policy?: Partial<CheckoutPolicy>;
  readonly requestWaitMs?: number;
  readonly apiKeys?: readonly ApiKey[];
  /** What stands between the steps and the participants, and between the runtime and its ports. */
  readonly aroundServices?: (services: CheckoutServices) => CheckoutServices;
  readonly aroundProvider?: (provider: PaymentProvider) => PaymentProvider;
  readonly aroundExecutions?: (executions: Executions) => Executions;
  readonly aroundLocks?: (locks: LockManager) => LockManager;
  readonly aroundStore?: (store: Store) => Store;
  /** Instead of the one in this process, which `delivered` tells of. */
  readonly bus?: Bus;
  /** What this node's build knows: for tests in which several builds run side by side. */
  readonly versions?: MachineVersions;
  /** The chart with one of its guards taken out: for tests that show what the guard is for. */
  readonly aroundMachine?: (machine: CheckoutMachine) => CheckoutMachine;
}

export interface Service extends Client {
  readonly orchestrator: Orchestrator;
  readonly store: Store;
  readonly counters: Counters;
  readonly actors: ReturnType<typeof checkoutActors>;
  /** What the bus delivered of one checkout, in order of delivery. */
  delivered(executionContextId: string): readonly CloudEvent[];
  /** Everything that was logged as a warning or an error, the messages alone. */
  readonly logged: string[];
  rows<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]>;
  /** As SIGTERM does. Safe twice. */
  stop(): Promise<void>;
}

export async function startService(stage: Stage, options: ServiceOptions = {}): Promise<Service> {
  const {
    aroundServices = same,
    aroundExecutions = same,
    aroundProvider = same<PaymentProvider>,
    aroundLocks = same,
    aroundStore = same,
    aroundMachine = same,
  } = options;
  const given = options.versions ?? VERSIONS;
  const machine = aroundMachine(given.current.machine);
  const policy = { ...POLICY, ...options.policy };
  const database = await stage.openDatabase();
  const store = aroundStore(new SqlStore(database));
  const locks = aroundLocks(await stage.openLocks());
  const heard = new InProcessBus();
  const bus = options.bus ?? heard;
  const counters = new Counters();
  const { log, logged } = recordingLog();
  const { paymentDeadlineMs } = policy;
  const participants = await openParticipants({ database, clock, ids, flagsFile: null, paymentDeadlineMs });
  const payments = new SqlPayments({ database, ids, provider: aroundProvider(participants.provider) });
  const services = aroundServices({ ...participants.services, payments });
  const requests = { load: async (id: string) => (await store.loadRequest(id)) as CheckoutRequest };
  const executions = checkoutExecutions({ services, requests, clock }, (input, signal) =>
    acquireLocks(store, orchestrator.locks)(input, signal),
  );
  const actors = checkoutActors(aroundExecutions(executions));
  const orchestrator: Orchestrator = new Orchestrator({
    store,
    calls: sqlInboxCalls(database),
    locks,
    clock,
    ids,
    log,
    counters,
    policy,
    answerFor,
    versions: withActors({ ...given, current: { ...given.current, machine } }, actors),
    rules: services.rules,
    onEvents: () => relay.kick(),
    residentMax: 1_000,
    // A stage may carry several nodes, the embedded one too.
    isExclusive: false,
  });
  const relay = new OutboxRelay({ store, bus, lease: orchestrator.node, clock, log, counters, source: "/checkoutd" });
  const received: CloudEvent[] = [];
  heard.subscribe((event) => received.push(event));
  await orchestrator.start();
  relay.start();
  const { provider } = participants;
  const { door, startSending } = openProviderDoor({ provider, store, orchestrator, counters, log, secret: WEBHOOK_SECRET });
  // What is refused stays in the simulator's table and is sent again.
  const stopSending = startSending(() => undefined);
  const stop = async () => {
    await stopSending();
    await orchestrator.stop();
    for (const part of [relay, bus, locks]) await part.stop();
    await database.close();
  };
  let stopping: Promise<void> | undefined;
  return {
    ...clientOf(edgeOf(orchestrator, door, counters, log, options)),
    orchestrator,
    store,
    counters,
    actors,
    logged,
    delivered: (executionContextId) => received.filter(({ subject }) => subject === executionContextId),
    rows: (text, parameters) => stage.database.rows(text, parameters),
    stop: () => (stopping ??= stop()),
  };
}

function edgeOf(
  orchestrator: Orchestrator,
  paymentDoor: PaymentDoor | null,
  counters: Counters,
  log: Log,
  { apiKeys = [], requestWaitMs = 10_000 }: ServiceOptions,
): App {
  return createApp({
    orchestrator,
    paymentDoor,
    metrics: { counters, gauges: {} },
    apiKeys,
    requestWaitMs,
    clock,
    ids,
    log,
    draining: new AbortController().signal,
    readinessChecks: {},
    peerAddress: () => "127.0.0.1",
    version: "0.0.0",
  });
}

function recordingLog() {
  const logged: string[] = [];
  const record = (_fields: unknown, message: string) => void logged.push(message);
  return { logged, log: { info: () => {}, warn: record, error: record } };
}

function same<Port>(port: Port): Port {
  return port;
}
