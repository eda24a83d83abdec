/** How checkouts stand by what is stored, whoever runs them. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { initialContext, type CheckoutPolicy } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import { documentedStateOf, viewOf, type CheckoutView } from "../machines/view.ts";
import type { JournalEntry, Store, StoredCheckout } from "../persistence/store.ts";
import { relive, revive } from "./revival.ts";

/** So many entries are read at once. */
const PAGE_SIZE = 500;
/** Those looked at last are looked at again: by a client that polls, and by a request that waits for another node. */
const REMEMBERED_MAX = 256;

export interface StoredView {
  readonly caller: string;
  readonly userId: string;
  readonly createdAt: number;
  readonly parkedReason: string | null;
  readonly view: CheckoutView;
}

/** A checkout as an entry of its journal left it. */
export interface PastView {
  readonly entry: JournalEntry;
  readonly view: CheckoutView;
}

interface StoredViewsDeps {
  readonly machine: CheckoutMachine;
  readonly store: Pick<Store, "load" | "history">;
  readonly policy: CheckoutPolicy;
}

export class StoredViews {
  /** By id, the one looked at longest ago first. A view never changes: its journal up to its `seq` doesn't. */
  readonly #remembered = new Map<string, CheckoutView>();

  constructor(private readonly deps: StoredViewsDeps) {}

  async of(executionContextId: string): Promise<StoredView | null> {
    const stored = await this.deps.store.load(executionContextId);
    if (stored === null) return null;
    const { caller, userId, createdAt, parkedReason } = stored;
    return { caller, userId, createdAt, parkedReason, view: this.#viewOf(stored) };
  }

  /**
   * Null: its journal has no such entry. "removed": it had, and retention removed what leads there. InvariantError where the
   * fold does not arrive where the journal says it did.
   */
  async at(executionContextId: string, seq: number): Promise<PastView | "removed" | null> {
    const { machine, store } = this.deps;
    const entries: JournalEntry[] = [];
    for (let page = 1; page > 0 && entries.length < seq;) {
      const read = await store.history(executionContextId, entries.length, Math.min(PAGE_SIZE, seq - entries.length));
      page = read.length;
      if (entries.length === 0 && read[0] !== undefined && read[0].seq > 1) return this.#sinceCheckpoint(executionContextId, seq);
      entries.push(...read);
    }
    const entry = entries.at(-1);
    if (entry?.seq !== seq) return null;
    return { entry, view: viewOf(relive(machine, executionContextId, entries).snapshot, seq) };
  }

  /** Of a journal without its beginning: what can still be told is what follows from the checkpoint. */
  async #sinceCheckpoint(executionContextId: string, seq: number): Promise<PastView | "removed" | null> {
    const { machine, store } = this.deps;
    const stored = await store.load(executionContextId);
    if (stored === null || seq > stored.seq) return null;
    const entries = stored.entries.filter((one) => one.seq <= seq);
    const entry = entries.at(-1);
    if (entry === undefined) return "removed";
    return { entry, view: viewOf(revive(machine, { ...stored, seq, entries }).snapshot, seq) };
  }

  #viewOf(stored: StoredCheckout): CheckoutView {
    const known = this.#remembered.get(stored.id);
    const view = known?.seq === stored.seq ? known : this.#fold(stored);
    this.#remembered.delete(stored.id);
    this.#remembered.set(stored.id, view);
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined && this.#remembered.size > REMEMBERED_MAX) this.#remembered.delete(oldest);
    return view;
  }

  /** One that can't be revived is still told about: its row says where it was, and that an operator is asked. */
  #fold(stored: StoredCheckout): CheckoutView {
    try {
      const { snapshot, seq } = revive(this.deps.machine, stored);
      return viewOf(snapshot, seq);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      const { id, userId, cartId, cartVersion, seq, state } = stored;
      const context = initialContext({ executionContextId: id, userId, cartId, cartVersion, policy: this.deps.policy });
      const documented = documentedStateOf(state);
      return { executionContextId: id, seq, path: state, state: documented, status: "NEEDS_ATTENTION", finished: false, context };
    }
  }
}
