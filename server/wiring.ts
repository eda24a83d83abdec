/** Puts the parts together: the one place, with main.ts, where concrete adapters are named. */
import type { Logger } from "pino";
import type { LockManager } from "../locking/lock-manager.ts";
import { connectRedisLocks } from "../locking/redis-locks.ts";
import { SqlLocks } from "../locking/sql-locks.ts";
import { InvariantError, TerminalError } from "../machines/errors.ts";
import { VERSIONS } from "../machines/released/registry.ts";
import { EVENT_SOURCE } from "../messaging/subjects.ts";
import type { Database } from "../persistence/connect.ts";
import { openEmbedded } from "../persistence/embedded-database.ts";
import { sqlInboxCalls } from "../persistence/sql-inbox-calls.ts";
import { migrate } from "../persistence/migrate.ts";
import { assertSession, connectPostgres } from "../persistence/postgres-database.ts";
import { SqlStore } from "../persistence/sql-store.ts";
import { acquireLocks } from "../runtime/acquire-locks.ts";
import { withActors } from "../runtime/machine-versions.ts";
import { moneyWatch } from "../runtime/money-watch.ts";
import { Orchestrator } from "../runtime/orchestrator.ts";
import { OutboxRelay } from "../runtime/outbox-relay.ts";
import { StoreClock } from "../runtime/store-clock.ts";
import { progressWatch } from "../runtime/progress-watch.ts";
import { Counters } from "../runtime/telemetry.ts";
import { refuseUnknownVersions, VersionWatch } from "../runtime/version-watch.ts";
import type { Watch } from "../runtime/watch.ts";
import { checkoutActors, checkoutExecutions } from "../steps/actors.ts";
import type { CheckoutRequest } from "../steps/request.ts";
import type { CheckoutServices } from "../steps/services.ts";
import { answerFor } from "./answer.ts";
import { ConfigError, type Config } from "./config.ts";
import { openMessages, type Messages } from "./wiring-messages.ts";
import type { Metrics } from "./metrics.ts";
import { openParticipants } from "./participants.ts";
import type { PaymentDoor } from "./payment-events.ts";
import { openProviderDoor } from "./provider-door.ts";
import { systemClock, systemIds as ids } from "./system-ports.ts";

/** Checkouts in one node's memory at once; beyond that a node says OVERLOADED. */
const RESIDENT_MAX = 2_000;

type Measured = Pick<Watch, "checkouts" | "oldestSeconds">;

interface Watches {
  readonly money: Measured;
  readonly progress: Measured;
  readonly versions: Pick<VersionWatch, "checkouts">;
}

interface Connections {
  readonly database: Database;
  readonly locks: LockManager;
  readonly messages: Messages;
  readonly clock: StoreClock;
}

export interface CheckoutNode {
  readonly orchestrator: Orchestrator;
  readonly paymentDoor: PaymentDoor | null;
  readonly metrics: Metrics;
  readonly readinessChecks: Readonly<Record<string, () => Promise<void>>>;
  /** Finishes what is being written, hands checkouts over, closes connections. Safe twice. */
  stop(): Promise<void>;
}

/** `replacements` take the place of the built-in participants of the same name. */
export async function startNode(
  config: Config,
  log: Logger,
  replacements: Partial<CheckoutServices> = {},
): Promise<CheckoutNode> {
  const database = await openDatabase(config, log);
  const opened = [() => database.close()];
  try {
    await migrate(database);
    const messages = await openMessages(config, log);
    opened.push(() => messages.bus.stop());
    const locks = await openLocks(config, database, log);
    opened.push(() => locks.stop());
    const clock = new StoreClock({ store: new SqlStore(database), clock: systemClock, log });
    opened.push(() => clock.stop());
    await clock.start();
    return await assemble(config, log, { database, locks, messages, clock }, replacements);
  } catch (error) {
    for (const close of opened.toReversed()) await close();
    throw error;
  }
}

async function assemble(
  config: Config,
  log: Logger,
  { database, locks, messages, clock }: Connections,
  replacements: Partial<CheckoutServices>,
): Promise<CheckoutNode> {
  const store = new SqlStore(database);
  const { bus } = messages;
  const counters = new Counters();
  const { paymentDeadlineMs } = config.policy;
  const participants = await openParticipants({ database, clock, ids, flagsFile: config.flagsFile, paymentDeadlineMs });
  const services: CheckoutServices = { ...participants.services, ...replacements };
  const requests = { load: (id: string) => loadRequest(store, id) };
  const executions = checkoutExecutions({ services, requests, clock }, (input, signal) =>
    acquireLocks(store, orchestrator.locks)(input, signal),
  );
  const orchestrator: Orchestrator = new Orchestrator({
    versions: withActors(VERSIONS, checkoutActors(executions)),
    store,
    calls: sqlInboxCalls(database),
    locks,
    rules: services.rules,
    clock,
    ids,
    log,
    counters,
    policy: config.policy,
    answerFor,
    onEvents: () => relay.kick(),
    residentMax: RESIDENT_MAX,
    isExclusive: database.kind === "embedded",
  });
  const relay = new OutboxRelay({ store, bus, lease: orchestrator.node, clock, log, counters, source: EVENT_SOURCE });
  const { provider } = participants;
  const { door, startSending } = openProviderDoor({
    provider,
    store,
    orchestrator,
    counters,
    log,
    secret: config.paymentWebhookSecret,
  });
  const watches = {
    money: moneyWatch({ store, clock, log }),
    progress: progressWatch({ store, clock, log }),
    versions: new VersionWatch({ store, versions: VERSIONS, clock, log }),
  };
  await refuseUnknownVersions(store, VERSIONS, config.leftVersions);
  await orchestrator.start();
  relay.start();
  for (const watch of Object.values(watches)) watch.start();
  const stopTaking = door === null ? async () => {} : messages.takePayments(door);
  const stopSending = startSending((error) =>
    log.warn({ err: error }, "The simulated provider could not send its events; it tries again"),
  );
  return {
    orchestrator,
    paymentDoor: door,
    metrics: metricsOf(counters, watches, relay, clock),
    readinessChecks: { database: () => database.ping(), locks: () => locks.ping() },
    stop: once(async () => {
      await stopSending();
      await stopTaking();
      for (const watch of Object.values(watches)) await watch.stop();
      await orchestrator.stop();
      await relay.stop();
      await clock.stop();
      await bus.stop();
      await locks.stop();
      await database.close();
    }),
  };
}

function metricsOf(counters: Counters, { money, progress, versions }: Watches, relay: OutboxRelay, clock: StoreClock): Metrics {
  return {
    counters,
    gauges: {
      checkout_unsettled_money_checkouts: {
        help: "Checkouts whose captured money has been neither confirmed nor given back for over a minute",
        value: () => money.checkouts,
      },
      checkout_unsettled_money_oldest_seconds: {
        help: "How long the oldest of that money has been held",
        value: () => money.oldestSeconds,
      },
      checkout_stuck_checkouts: {
        help: "Checkouts that have something to do and have not gone on for over a minute",
        value: () => progress.checkouts,
      },
      checkout_stuck_oldest_seconds: {
        help: "How long the oldest of them has not gone on",
        value: () => progress.oldestSeconds,
      },
      checkout_unserved_version_checkouts: {
        help: "Live checkouts that no live node knows the version of",
        value: () => versions.checkouts,
      },
      outbox_pending: { help: "Committed events that no bus has acknowledged yet", value: () => relay.backlog.pending },
      outbox_parked: { help: "Checkouts whose next event waits for an operator", value: () => relay.backlog.parked },
      outbox_lag_seconds: { help: "How long the oldest of them has waited", value: () => relay.lagSeconds },
      clock_offset_seconds: {
        help: "How far this machine's clock is ahead of the database's, by which timers go",
        value: () => clock.offsetMs / 1_000,
      },
    },
  };
}

async function openDatabase(config: Config, log: Logger): Promise<Database> {
  if (config.databaseUrl !== null) return openPostgres(config.databaseUrl);
  try {
    return await openEmbedded(config.dataDir, { onSlowStart: (message) => log.info(message) });
  } catch (error) {
    if (!isFileSystemRefusal(error)) throw error;
    throw new ConfigError([`DATA_DIR can't be used: ${error.message}. Name a directory that this user may write to.`]);
  }
}

async function openPostgres(url: string): Promise<Database> {
  const database = connectPostgres(url);
  try {
    await assertSession(database);
    return database;
  } catch (error) {
    await database.close();
    throw error instanceof TerminalError ? new ConfigError([error.message]) : error;
  }
}

async function openLocks(config: Config, database: Database, log: Logger): Promise<LockManager> {
  if (config.redisUrl === null) return new SqlLocks(database);
  return connectRedisLocks(config.redisUrl, {
    onConnectionError: (error) => log.warn({ err: error }, "Redis does not answer; checkouts go on under their fences alone"),
  });
}

function isFileSystemRefusal(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error && error.syscall !== undefined;
}

/** The body was validated by the edge before it was stored. */
async function loadRequest(store: SqlStore, executionContextId: string): Promise<CheckoutRequest> {
  const body = await store.loadRequest(executionContextId);
  if (body === null) throw new InvariantError(`The request of ${executionContextId} is gone, so its steps can't run.`);
  return body as CheckoutRequest;
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= work());
}
