/** What paths run on: a store, and the rows of checkouts that were created and never started. */
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Commit, CommitResult, NewCheckout, Store } from "../../persistence/store.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import { dehydrate, hashContext, type CheckoutSnapshot } from "../../runtime/engine.ts";
import { MemoryStore } from "../simulation/memory-store.ts";

/** The one node that runs all paths. */
export const NODE = "node_paths";
/** The version of every checkout here. */
export const SEEDED_HASH = "1";
const LEASE_MS = 86_400_000;

export interface PathBed {
  readonly store: Store;
  readonly seed: (checkouts: readonly { readonly id: string; readonly snapshot: CheckoutSnapshot }[]) => Promise<void>;
}

/** Passes the same conformance suite as the SQL stores, and is several times as fast. */
export function memoryBed(): PathBed {
  const store = new MemoryStore({ now: () => Date.now() });
  return {
    store,
    seed: async (checkouts) => {
      await store.heartbeat(NODE, LEASE_MS, [SEEDED_HASH]);
      for (const { id, snapshot } of checkouts) await store.create(newCheckout(id, snapshot));
    },
  };
}

export function newCheckout(id: string, snapshot: CheckoutSnapshot): NewCheckout {
  return {
    id,
    caller: "paths",
    userId: "usr_1",
    cartId: id,
    cartVersion: 1,
    idempotencyKey: id,
    machineVersion: "1",
    machineHash: SEEDED_HASH,
    traceparent: null,
    requestHash: "1",
    request: {},
    state: "INITIALIZED",
    status: "PROCESSING",
    owner: NODE,
    commitId: "c",
    entry: { seq: 1, at: 0, event: { type: "xstate.init" }, from: null, to: "INITIALIZED", contextHash: hashContext(snapshot) },
    checkpoint: { snapshot: dehydrate(checkoutMachine, snapshot), timers: {} },
  };
}

export function sqlBed(database: Database): PathBed {
  return {
    store: coalescing(new SqlStore(database)),
    // In one statement: creating them one by one takes longer than running them.
    seed: async (checkouts) => {
      await database.rows(
        "insert into checkoutd.nodes (id, lease_until, machine_hashes) values ($1, now() + interval '1 day', array[$2]) on conflict do nothing",
        [NODE, SEEDED_HASH],
      );
      const rows = checkouts.map(({ id, snapshot }) => {
        return { id, snapshot: dehydrate(checkoutMachine, snapshot), hash: hashContext(snapshot) };
      });
      await database.rows(SEED, [JSON.stringify(rows), NODE]);
    },
  };
}

const SEED = `with seeded as materialized (select * from jsonb_to_recordset($1::text::jsonb) as t(id text, snapshot jsonb, hash text)),
  contexts as (
    insert into checkoutd.contexts (id, caller, user_id, cart_id, cart_version, idempotency_key, machine_version, machine_hash,
      state, status, seq, fence, last_commit, owner)
    select id, 'paths', 'usr_1', id, 1, id, '1', '${SEEDED_HASH}', 'INITIALIZED', 'PROCESSING', 1, 1, 'c', $2 from seeded),
  checkpoints as (insert into checkoutd.snapshots (context_id, seq, snapshot, timers) select id, 1, snapshot, '{}' from seeded)
  insert into checkoutd.journal (context_id, seq, at, event, to_state, context_hash)
  select id, 1, now(), '{"type":"xstate.init"}', 'INITIALIZED', hash from seeded`;

/** One statement for the commits of all paths that run at once: each path has a registry of its own. */
function coalescing(store: Store): Store {
  let waiting: {
    readonly commit: Commit;
    readonly resolve: (result: CommitResult) => void;
    readonly reject: (error: unknown) => void;
  }[] = [];
  let isFlushing = false;
  const flush = async () => {
    isFlushing = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        const results = await store.commit(batch.map(({ commit }) => commit));
        for (const [index, { resolve }] of batch.entries()) resolve(results[index] ?? { kind: "unknown_checkout" });
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isFlushing = false;
  };
  const commit = (commits: readonly Commit[]) => {
    const results = commits.map(
      (one) => new Promise<CommitResult>((resolve, reject) => waiting.push({ commit: one, resolve, reject })),
    );
    if (!isFlushing) void flush();
    return Promise.all(results);
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "commit") return commit;
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
