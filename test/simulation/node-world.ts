/** What all nodes of a run share: the ports as they are, before the way to them. */
import type { LockManager } from "../../locking/lock-manager.ts";
import type { CheckoutPolicy } from "../../machines/context.ts";
import type { Bus } from "../../messaging/bus.ts";
import type { InboxCalls } from "../../persistence/inbox-calls.ts";
import type { Store } from "../../persistence/store.ts";
import type { Log } from "../../runtime/telemetry.ts";
import type { Clock, Ids } from "../../steps/ports.ts";
import type { Chance } from "../support/chance.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import type { Faults } from "./faults.ts";
import type { Life } from "./life.ts";
import type { Traffic } from "./traffic.ts";

export interface NodeWorld {
  readonly store: Store;
  readonly calls: InboxCalls;
  readonly services: CheckoutServices;
  readonly locks: LockManager;
  /** For one node. */
  readonly openBus: (life: Life) => Bus;
  readonly clock: Clock;
  /** How far the clock of the next node is ahead, and how long the database takes to tell its time. */
  readonly clocks: Chance;
  readonly ids: Ids;
  readonly log: Log;
  readonly policy: CheckoutPolicy;
  readonly isExclusive: boolean;
  readonly faults: Faults;
  readonly traffic: Traffic;
}
