/** A node of which a test can break every step and every undo, and what it then looks for. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { openParticipants } from "../../server/participants.ts";
import { systemClock, systemIds } from "../../server/system-ports.ts";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import type { Executions } from "../../steps/actors.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import { optIn, slotPreference } from "../services/checkouts.ts";
import { bookableDate, eventually, order } from "./client.ts";
import { Interference, type ObservedCall } from "./interference.ts";
import { UNDOS, type DocumentedUndo } from "./rollback-table.ts";
import { startService, type Service } from "./service.ts";
import type { Stage } from "./stage.ts";
import { leftovers, moneyOf, stockMismatches } from "./tables.ts";

/** Short, so that waiting for it takes no time; who is to wait longer is a user of a slow bank (an hour, by flag). */
const DEADLINE_MS = 400;
/** Tries of an undo in place: the first and one more. */
export const TRIES_IN_PLACE = 2;

const UNDO_OPERATIONS: ReadonlySet<string> = new Set(UNDOS.map(({ operation }) => operation));

export interface RollbackDesk {
  readonly interference: Interference;
  readonly service: Service;
  /** Sends the request, and tells the checkout's id whatever the answer is. */
  readonly begin: (request: CheckoutRequest, wait?: number) => Promise<string>;
  /** Every try of an undo, in order. */
  readonly undoCallsOf: (executionContextId: string) => readonly ObservedCall[];
  /** At rest in ROLLEDBACK; these undos were tried first in this order, each was done, and nothing else was. */
  readonly expectUndone: (executionContextId: string, undos: readonly DocumentedUndo[]) => Promise<void>;
}

export async function openRollbackDesk(stage: Stage, policy: Partial<CheckoutPolicy> = {}): Promise<RollbackDesk> {
  const interference = new Interference();
  const service = await startService(stage, {
    aroundServices: interference.around,
    aroundExecutions: (executions) => watchEvents(interference, executions),
    aroundLocks: (locks) => interference.watch(locks),
    aroundStore: (store) => interference.watch(store),
    policy: { stepRetryMax: 1, undoRetryMax: TRIES_IN_PLACE - 1, paymentDeadlineMs: DEADLINE_MS, ...policy },
  });
  const undoCallsOf = (id: string) =>
    interference.calls.filter((call) => call.executionContextId === id && UNDO_OPERATIONS.has(call.operation));

  const expectUndone = async (id: string, undos: readonly DocumentedUndo[]) => {
    await service.reaches(id, "ROLLED_BACK");
    expect(await firstTriesIn(service, id)).toEqual(undos.map(({ journalName }) => journalName));
    const calls = interference.calls.filter((call) => call.executionContextId === id).map(({ operation }) => operation);
    const fromFirstUndo = calls.slice(calls.findIndex((operation) => UNDO_OPERATIONS.has(operation)));
    if (undos.length > 0) expect(fromFirstUndo.filter((operation) => !UNDO_OPERATIONS.has(operation))).toEqual([]);
    for (const call of undoCallsOf(id)) expect(call.key).toBe(`${id}:${keyOf(call.operation)}`);
    expect(await effectsOf(service, id)).toEqual(undos.flatMap((undo) => undoneEffect(id, undo)).toSorted(byOperation));
    expect(await leftovers(stage.database, id)).toEqual([]);
    expect(await stockMismatches(stage.database)).toEqual([]);
    expect((await moneyOf(stage.database, id)).net).toBe(0);
    expect(await changedOptIns(service, id)).toEqual([]);
    // The last event is published after the state is reached.
    await eventually(async () => expect((await auditCheckout(stage.database, id, "ROLLED_BACK")).violations).toEqual([]));
    const ends = service.delivered(id).filter(({ type }) => type === "checkout.v1.checkout_rolled_back");
    expect(ends).toHaveLength(1);
    const undone = ends[0]?.data["undone"] as readonly string[];
    expect(undone.toSorted()).toEqual(undos.map(({ journalName }) => journalName).toSorted());
  };

  return {
    interference,
    service,
    undoCallsOf,
    expectUndone,
    begin: async (request, wait) => {
      await seedMembership(service, request.user.userId);
      const answer = await service.initiate(request, wait === undefined ? {} : { wait });
      const { executionContextId } = answer.status === 200 ? answer.checkout() : answer.problem();
      if (executionContextId === undefined) throw new Error(`No checkout was begun: ${answer.text}`);
      return executionContextId;
    },
  };
}

/** Leaves every kind of effect that the table knows: a scarce slot, a counted coupon, an opt-in created and one modified. */
export function fullOrder(instrumentId: string, userPrefix = "usr_slow_bank"): CheckoutRequest {
  return order(instrumentId, {
    user: { userId: `${userPrefix}_${randomUUID()}`, cityId: "BLR" },
    preferences: [slotPreference("slot_1200", bookableDate())],
    couponCodes: ["FIRST3"],
    optIns: [
      optIn({ ref: "o1", type: "DONATION", planId: "donate_10" }),
      optIn({ ref: "o2", action: "MODIFY", planId: "plus_12m" }),
    ],
    expectedTotal: undefined,
  });
}

export type DirectCall = (operation: string, call: object) => Promise<unknown>;

/** The participants alone, as a call finds them that arrives when its checkout is long over. */
export async function openDirectly({ database }: Stage): Promise<DirectCall> {
  const options = { database, clock: systemClock, ids: systemIds, flagsFile: null, paymentDeadlineMs: DEADLINE_MS };
  const { services } = await openParticipants(options);
  return async (operation, call) => {
    const participant = Object.values(services).find((service) => operation in service);
    if (participant === undefined) throw new Error(`No participant has ${operation}.`);
    return (participant as Record<string, (call: object) => Promise<unknown>>)[operation]?.(call);
  };
}

/** STEP_8 and its undo call no participant, so they are watched where the machine calls them. */
function watchEvents(interference: Interference, executions: Executions): Executions {
  const { produceLineItemsUpdatedEvent, handleRollback } = executions;
  const watched = interference.watch({ produceLineItemsUpdatedEvent, line_items_reverted: handleRollback });
  return {
    ...executions,
    produceLineItemsUpdatedEvent: watched.produceLineItemsUpdatedEvent,
    handleRollback: (input, signal) =>
      (input.undo === "lineItemsUpdatedEvent" ? watched.line_items_reverted : handleRollback)(input, signal),
  };
}

async function firstTriesIn(service: Service, id: string): Promise<readonly string[]> {
  const entries = await service.rows<{ to: string }>(
    `select to_state as "to" from checkoutd.journal where context_id = $1 order by seq`,
    [id],
  );
  const tries = entries.flatMap(({ to }) => /undoing\.(\w+)\.running/.exec(to)?.[1] ?? []);
  return [...new Set(tries)].filter((name) => name !== "deferred");
}

interface EffectRow {
  readonly operation: string;
  readonly key: string;
  readonly isUndone: boolean;
}

/** Without the one effect that has no undo of its own: the groups' release frees it. */
function effectsOf(service: Service, id: string): Promise<readonly EffectRow[]> {
  return service.rows(
    `select operation, key, undone_at is not null as "isUndone" from checkoutd.effects
      where context_id = $1 and operation <> $2 order by operation collate "C"`,
    [id, "lockPaymentGroups"],
  );
}

/** Done or not, the undo leaves the original's row behind as undone: its tombstone. */
function undoneEffect(id: string, { operation, original, key }: DocumentedUndo): readonly EffectRow[] {
  return operation === "line_items_reverted" ? [] : [{ operation: original, key: `${id}:${key}`, isUndone: true }];
}

function byOperation(a: EffectRow, b: EffectRow): number {
  return a.operation < b.operation ? -1 : 1;
}

function keyOf(operation: string): string {
  return UNDOS.find((undo) => undo.operation === operation)?.key ?? "no such undo";
}

/** What the user had before the checkout, for its MODIFY. */
async function seedMembership(service: Service, userId: string): Promise<void> {
  await service.rows(
    `insert into checkoutd.opt_ins (id, context_id, user_id, type, plan_id, status, version)
     values ($1, 'ctx_before', $2, 'MEMBERSHIP', 'plus_6m', 'ACTIVE', 1)`,
    [`opt_${userId}`, userId],
  );
}

/** The before-image of a MODIFY that was not set back. */
function changedOptIns(service: Service, id: string): Promise<readonly unknown[]> {
  return service.rows(
    `select o.* from checkoutd.opt_ins o join checkoutd.contexts c on c.user_id = o.user_id
      where c.id = $1 and o.id = 'opt_' || c.user_id
        and (o.context_id, o.plan_id, o.status, coalesce(o.pending_action, '')) <> ('ctx_before', 'plus_6m', 'ACTIVE', '')`,
    [id],
  );
}
