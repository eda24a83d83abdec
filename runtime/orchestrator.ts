/**
 * The specification's OrchestratorManager: one actor per checkout, created, resumed, fed and passivated here.
 */
import type { CheckoutView } from "../machines/view.ts";
import type { CheckoutSummary, JournalEntry, StoredAnswer } from "../persistence/store.ts";
import type { CheckoutRequest } from "../steps/request.ts";

export interface InitiateCommand {
  readonly caller: string;
  readonly idempotencyKey: string;
  /** Hash of the canonical body: the same key with another hash is refused. */
  readonly requestHash: string;
  readonly request: CheckoutRequest;
  readonly traceparent: string | null;
  /** How long to wait for a first answer. */
  readonly waitMs: number;
}

/** What a client's initiate, first or repeated, comes to within its waiting time. */
export type InitiateResult =
  /** It waits for payment or has ended: the stored answer, byte for byte. */
  | { readonly kind: "answered"; readonly executionContextId: string; readonly answer: StoredAnswer; readonly replayed: boolean }
  /** It goes on in the background: still retrying, or still undoing. */
  | { readonly kind: "unfinished"; readonly view: CheckoutView; readonly retryAfterMs: number };

/** One committed transition, for those who watch. */
export interface TransitionNotice {
  readonly executionContextId: string;
  readonly entry: JournalEntry;
  readonly state: string;
  readonly status: string;
}

export interface StoredView {
  readonly caller: string;
  readonly userId: string;
  readonly createdAt: number;
  readonly parkedReason: string | null;
  readonly view: CheckoutView;
}

/** What the edge needs of the orchestrator. */
export interface CheckoutOrchestrator {
  /**
   * Creates the checkout, or joins the one that this key already started, then waits.
   * ValidationError: every violation, no row. ConflictError: IDEMPOTENCY_KEY_REUSED, CHECKOUT_IN_PROGRESS
   * (details.executionContextId unless it is another user's), CART_ALREADY_CHECKED_OUT, CART_VERSION_STALE.
   */
  initiate(command: InitiateCommand): Promise<InitiateResult>;
  view(executionContextId: string): Promise<StoredView | null>;
  history(executionContextId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]>;
  list(limit: number): Promise<readonly CheckoutSummary[]>;
  /** Every transition that this node commits from now on; returns how to stop. */
  watch(listener: (notice: TransitionNotice) => void): () => void;
  /** Readiness of the node's own part: holds its lease and accepts new checkouts. */
  isAccepting(): boolean;
}
