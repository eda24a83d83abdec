/** How checkouts stand by what is stored, whoever runs them. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { initialContext, type CheckoutPolicy } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import { documentedStateOf, viewOf, type CheckoutView } from "../machines/view.ts";
import type { Store, StoredCheckout } from "../persistence/store.ts";
import { revive } from "./revival.ts";

/** Those looked at last are looked at again: by a client that polls, and by a request that waits for another node. */
const REMEMBERED_MAX = 256;

export interface StoredView {
  readonly caller: string;
  readonly userId: string;
  readonly createdAt: number;
  readonly parkedReason: string | null;
  readonly view: CheckoutView;
}

interface StoredViewsDeps {
  readonly machine: CheckoutMachine;
  readonly store: Pick<Store, "load">;
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
