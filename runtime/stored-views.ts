/** How checkouts stand by what is stored, whoever runs them. */
import { initialContext, type CheckoutPolicy } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import type { MachineVersions } from "../machines/released/registry.ts";
import { documentedStateOf, viewOf, type CheckoutStatus, type CheckoutView } from "../machines/view.ts";
import type { JournalEntry, Store, StoredCheckout } from "../persistence/store.ts";
import { relive } from "./journal-fold.ts";
import { knownWayOf, wayOf } from "./machine-versions.ts";
import { revive, translated } from "./revival.ts";

/** So many entries are read at once. */
const PAGE_SIZE = 500;
/** Those looked at last are looked at again: by a client that polls, and by a request that waits for another node. */
const REMEMBERED_MAX = 256;

export interface StoredView {
  readonly caller: string;
  readonly userId: string;
  readonly createdAt: number;
  readonly parkedReason: string | null;
  /** This build doesn't know its version: `view` is what its row says, without anything that the checkout knows. */
  readonly isOfOtherVersion: boolean;
  readonly view: CheckoutView;
}

/** A checkout as an entry of its journal left it. */
export interface PastView {
  readonly entry: JournalEntry;
  readonly view: CheckoutView;
}

interface StoredViewsDeps {
  readonly versions: MachineVersions;
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
    const isOfOtherVersion = wayOf(this.deps.versions, stored.machineHash) === null;
    return { caller, userId, createdAt, parkedReason, isOfOtherVersion, view: this.#viewOf(stored) };
  }

  /**
   * Null: its journal has no such entry. "removed": it had, and retention removed what leads there. TransientError
   * OTHER_VERSION: another node may know what wrote it. InvariantError where the fold does not arrive where the journal says.
   */
  async at(executionContextId: string, seq: number): Promise<PastView | "removed" | null> {
    const { versions, store } = this.deps;
    const entries: JournalEntry[] = [];
    for (let page = 1; page > 0 && entries.length < seq;) {
      const read = await store.history(executionContextId, entries.length, Math.min(PAGE_SIZE, seq - entries.length));
      page = read.length;
      if (entries.length === 0 && read[0] !== undefined && read[0].seq > 1) return this.#sinceCheckpoint(executionContextId, seq);
      entries.push(...read);
    }
    const entry = entries.at(-1);
    if (entry?.seq !== seq) return null;
    return { entry, view: viewOf(relive(versions, executionContextId, entries).snapshot, seq) };
  }

  /** Of a journal without its beginning: what can still be told is what follows from the checkpoint. */
  async #sinceCheckpoint(executionContextId: string, seq: number): Promise<PastView | "removed" | null> {
    const { versions, store } = this.deps;
    const stored = await store.load(executionContextId);
    if (stored === null || seq > stored.seq) return null;
    const entries = stored.entries.filter((one) => one.seq <= seq);
    const entry = entries.at(-1);
    if (entry === undefined) return "removed";
    const { machine, migration } = knownWayOf(versions, stored.id, stored.machineHash);
    return { entry, view: viewOf(revive(machine, translated({ ...stored, seq, entries }, migration)).snapshot, seq) };
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
    const way = wayOf(this.deps.versions, stored.machineHash);
    if (way === null) return this.#byRow(stored, stored.status as CheckoutStatus);
    try {
      const { snapshot, seq } = revive(way.machine, translated(stored, way.migration));
      return viewOf(snapshot, seq);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      return this.#byRow(stored, "NEEDS_ATTENTION");
    }
  }

  #byRow({ id, userId, cartId, cartVersion, seq, state: path }: StoredCheckout, status: CheckoutStatus): CheckoutView {
    const context = initialContext({ executionContextId: id, userId, cartId, cartVersion, policy: this.deps.policy });
    const finished = status === "CONFIRMED" || status === "ROLLED_BACK";
    return { executionContextId: id, seq, path, state: documentedStateOf(path), status, finished, context };
  }
}
