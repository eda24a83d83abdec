/** Where the public threads' orders of events are played: one checkout on real nodes, and what is wrong with how it ended. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { TerminalError } from "../../machines/errors.ts";
import type { Commit, Store } from "../../persistence/store.ts";
import type { ProviderEvent } from "../../services/payment-provider.ts";
import { eventually } from "./client.ts";
import { Interference } from "./interference.ts";
import { gate, successEvent } from "./payment-desk.ts";
import { startService, type Service, type ServiceOptions } from "./service.ts";
import type { Stage } from "./stage.ts";

/** Of the documented example. */
export const PAYABLE = 249_900;

export interface Desk {
  readonly service: Service;
  readonly interference: Interference;
  /** Of the first node. */
  readonly pause: Pause;
  /** Another node with the same guards, on the same database. */
  readonly startNode: () => Promise<Service>;
  readonly close: () => Promise<void>;
}

export async function openDesk(stage: Stage, without: ServiceOptions = {}, policy: Partial<CheckoutPolicy> = {}): Promise<Desk> {
  const interference = new Interference();
  const pause = new Pause();
  const { aroundServices = (services) => services, aroundStore = (store) => store, ...rest } = without;
  const service = await startService(stage, {
    ...rest,
    policy,
    aroundServices: (services) => aroundServices(interference.around(services)),
    aroundStore: (store) => pause.around(aroundStore(store)),
  });
  const nodes = [service];
  const startNode = async () => {
    const around: NonNullable<ServiceOptions["aroundServices"]> = (services) =>
      aroundServices(new Interference().around(services));
    const node = await startService(stage, { ...without, policy, aroundServices: around });
    nodes.push(node);
    return node;
  };
  const close = async () => {
    interference.clear();
    await Promise.all(nodes.map((node) => node.stop()));
  };
  return { service, interference, pause, startNode, close };
}

/** A node that stands still for a while, as in a long garbage collection, with a commit under way. */
export class Pause {
  private isIt: (commit: Commit) => boolean = () => false;
  private held = gate();
  private isPaused = false;
  private written: () => void = () => undefined;

  /** Before the first commit of which this holds. */
  at(isIt: (commit: Commit) => boolean): { readonly reached: Promise<void>; readonly goOn: () => Promise<void> } {
    this.isIt = isIt;
    this.held = gate();
    const written = new Promise<void>((resolve) => (this.written = resolve));
    return {
      reached: this.held.reached,
      /** Resolves when the commit was taken or refused. */
      goOn: () => {
        this.held.open();
        return written;
      },
    };
  }

  around = (store: Store): Store =>
    override(store, {
      commit: async (batch) => {
        if (this.isPaused || !batch.some((commit) => this.isIt(commit))) return store.commit(batch);
        this.isPaused = true;
        await this.held.pass();
        try {
          return await store.commit(batch);
        } finally {
          this.written();
        }
      },
      heartbeat: async (nodeId, ttlMs, machineHashes) => {
        // The worst that a pause can do: it goes on believing in a lease that is over.
        return this.isPaused || store.heartbeat(nodeId, ttlMs, machineHashes);
      },
    });
}

/** The store with some of its methods replaced. */
export function override(store: Store, methods: Partial<Store>): Store {
  return Object.assign(Object.create(store) as Store, methods);
}

/** The database's clock says that the owner's lease is over; the owner itself doesn't know yet. */
export async function expireOwnersLease({ service }: Desk, executionContextId: string): Promise<void> {
  await service.rows(
    `update checkoutd.nodes set lease_until = clock_timestamp() - interval '1 s'
      where id = (select owner from checkoutd.contexts where id = $1)`,
    [executionContextId],
  );
}

/** Through the signed HTTP door. Each delivery is an event of its own unless it is given an id. */
export async function deliver(service: Service, event: ProviderEvent, eventId: string = randomUUID()): Promise<void> {
  const answer = await service.deliverPayment({ ...event, data: { ...event.data, eventId } });
  expect(answer).toMatchObject({ status: 200 });
}

export function failedEvent(pcrId: string, attemptId: string): ProviderEvent {
  const { timestamp, data } = successEvent(pcrId, `psr_failed_${attemptId}`, PAYABLE, attemptId);
  return { type: "payment_collection_requirement_failed", timestamp, data: { ...data, code: "DECLINED_BY_BANK" } };
}

/** The checkout whose payment was asked for last, and what its provider calls the capture, if there is one. */
export async function newestPayment(service: Service) {
  const [found] = await service.rows<{ id: string; pcrId: string; pspReference: string | null }>(
    `select p.context_id as id, p.id as "pcrId", c.psp_reference as "pspReference"
       from checkoutd.payment_collection_requirements p left join checkoutd.provider_captures c on c.pcr_id = p.id
      order by p.created_at desc limit 1`,
  );
  if (found === undefined) throw new Error("No payment was asked for yet.");
  return { ...found, pspReference: found.pspReference ?? "" };
}

/** Everything that arrived is heard, everything that follows from it has happened and is published; or an operator is asked. */
export function rest(service: Service, executionContextId: string): Promise<void> {
  return eventually(async () => {
    const [row] = await service.rows(
      `select c.signals <= c.consumed or c.parked_reason is not null as "isHeard",
          c.status = 'NEEDS_ATTENTION' or c.parked_reason is not null
            or (select to_state from checkoutd.journal where context_id = c.id order by seq desc limit 1)
              ~ '(atRest|awaitingPayment)$' as "isStill",
          not exists (select from checkoutd.outbox where context_id = c.id and acknowledged_at is null) as "isTold"
         from checkoutd.contexts c where c.id = $1`,
      [executionContextId],
    );
    expect(row).toEqual({ isHeard: true, isStill: true, isTold: true });
  });
}

/** For a step's place: waits until the success of `ins_refund_fails`, which sends itself, is heard; then there is no going on. */
export async function failOncePaid(service: Service, executionContextId: string): Promise<never> {
  await eventually(async () => {
    const heardOf = await service.rows(
      `select 1 from checkoutd.inbox i join checkoutd.payment_collection_requirements p on p.id = i.pcr_id
        where p.context_id = $1 and i.consumed_seq is not null`,
      [executionContextId],
    );
    expect(heardOf).toHaveLength(1);
  });
  throw new TerminalError("OUT_OF_STOCK", "The last one was sold meanwhile.");
}

/** The provider has told that it took a refund back. */
export function tookRefundBack(service: Service, pcrId: string): Promise<void> {
  return eventually(async () => {
    const failures = await service.rows(
      "select 1 from checkoutd.inbox where pcr_id = $1 and event->>'type' = 'payment_refund_failed'",
      [pcrId],
    );
    expect(failures).toHaveLength(1);
  });
}

/** Everything that arrived is heard, whatever still runs. */
export function heard(service: Service, executionContextId: string): Promise<void> {
  return eventually(async () => expect(await service.store.unconsumed(executionContextId)).toEqual([]));
}

export interface Ending {
  readonly status: "CONFIRMED" | "ROLLED_BACK";
  readonly captures?: number;
  readonly refunds: number;
}

/** How the checkout at rest differs from that, a sentence each: its status, its order, the provider's books, what others were told. */
export async function wrongsOf(service: Service, executionContextId: string, ending: Ending): Promise<readonly string[]> {
  await rest(service, executionContextId);
  const isConfirmed = ending.status === "CONFIRMED";
  const { status } = (await service.get(executionContextId)).checkout();
  const [books] = await service.rows<Books>(BOOKS, [executionContextId]);
  if (books === undefined) throw new Error("Sums always have a row.");
  // It stands where it was parked, perhaps half-way: nothing else of it is final.
  if (books.parked !== null) return [`parked: ${causeOf(books.parked)}`];
  const differences: readonly (readonly [what: string, is: string | number | null, wanted: string | number | null])[] = [
    ["the checkout is", status, ending.status],
    ["the order is", books.orderStatus, isConfirmed ? "CONFIRMED" : "CANCELLED"],
    ["captures:", books.captures, ending.captures ?? 1],
    ["the provider holds", books.held, isConfirmed ? PAYABLE : 0],
    ["line_items_confirmed:", books.confirmed, isConfirmed ? 1 : 0],
    ["payment_refunded:", books.refunded, ending.refunds],
    ["lines of payment requests:", books.requests, 1],
  ];
  return differences
    .filter(([, is, wanted]) => is !== wanted)
    .map(([what, is, wanted]) => `${what} ${String(is)}, not ${String(wanted)}`);
}

/** The invariant that a transition broke, by its number (docs/invariants.md); any other reason as it is. */
function causeOf(parkedReason: string): string {
  return /breaks (I\d+):/.exec(parkedReason)?.[1] ?? parkedReason;
}

interface Books {
  readonly orderStatus: string;
  readonly captures: number;
  readonly held: number;
  readonly confirmed: number;
  readonly refunded: number;
  readonly requests: number;
  readonly parked: string | null;
}

const BOOKS = `
select (select status from checkoutd.checkout_orders where context_id = $1) as "orderStatus",
  (select count(*)::int from checkoutd.provider_captures where context_id = $1) as captures,
  (select coalesce(sum(amount - refunded_amount), 0)::int from checkoutd.provider_captures where context_id = $1) as held,
  (select count(*)::int from checkoutd.outbox where context_id = $1 and type = 'line_items_confirmed') as confirmed,
  (select count(*)::int from checkoutd.outbox where context_id = $1 and type = 'payment_refunded') as refunded,
  (select count(*)::int from checkoutd.payment_collection_requirements where context_id = $1) as requests,
  (select parked_reason from checkoutd.contexts where id = $1) as parked`;
