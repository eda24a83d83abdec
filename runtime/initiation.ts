/** From a client's request to its first answer: the checkout is created, or the one that this key already started is joined. */
import type { CheckoutPolicy } from "../machines/context.ts";
import { ConflictError, TransientError, ValidationError, type CheckoutError } from "../machines/errors.ts";
import type { MachineVersions } from "../machines/released/registry.ts";
import { documentedStateOf, type CheckoutView } from "../machines/view.ts";
import type { CreateResult, IdempotencyClaim, Store, StoredAnswer } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { CheckoutRequest } from "../steps/request.ts";
import type { CheckoutRules } from "../steps/services.ts";
import type { ActorRegistry } from "./actor-registry.ts";
import { begin, dehydrate, hashContext, statePath, toPlainJson } from "./engine.ts";

/** How often a checkout that another node runs is looked at while a client waits for it. */
const REMOTE_POLL_MS = 250;
const RETRY_AFTER_DEFAULT_MS = 1_000;

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
  /** It can't go on by itself: an operator is asked, and repeating the request helps nobody. */
  | { readonly kind: "parked"; readonly view: CheckoutView }
  /** It goes on in the background: still retrying, or still undoing. */
  | { readonly kind: "unfinished"; readonly view: CheckoutView; readonly retryAfterMs: number };

export interface InitiationDeps {
  readonly versions: MachineVersions;
  readonly store: Pick<Store, "create" | "findClaim" | "findCartConflict">;
  readonly rules: CheckoutRules;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly policy: CheckoutPolicy;
  readonly residentMax: number;
  readonly actors: ActorRegistry;
  readonly view: (
    executionContextId: string,
  ) => Promise<{ readonly view: CheckoutView; readonly parkedReason: string | null } | null>;
  readonly nodeId: () => string;
  readonly isAccepting: () => boolean;
}

export class Initiation {
  constructor(private readonly deps: InitiationDeps) {}

  async initiate(command: InitiateCommand): Promise<InitiateResult> {
    const claim = await this.findClaim(command);
    if (claim !== null) return this.join(command, claim);
    if (!this.deps.isAccepting())
      throw new TransientError("DRAINING", "This node takes no new checkouts. Send the request again.");
    if (this.deps.actors.size >= this.deps.residentMax) {
      throw new TransientError("OVERLOADED", "This node runs as many checkouts as it can. Send the request again later.");
    }
    const { cart, user } = command.request;
    const conflict = await this.deps.store.findCartConflict(cart.cartId, cart.version);
    if (conflict !== null) return this.joinOrThrow(command, cartConflict(conflict, user.userId));
    const violations = await this.deps.rules.check(command.request);
    if (violations.length > 0) return this.joinOrThrow(command, new ValidationError(violations));
    return this.create(command);
  }

  private async create(command: InitiateCommand): Promise<InitiateResult> {
    const { request } = command;
    const id = this.deps.ids.next("ctx");
    const identity = { executionContextId: id, userId: request.user.userId, cartId: request.cart.cartId };
    const input = { ...identity, cartVersion: request.cart.version, policy: this.deps.policy };
    const { machine, hash: machineHash } = this.deps.versions.current;
    const snapshot = begin(machine, input);
    const path = statePath(snapshot);
    const result = await this.deps.store.create({
      id,
      caller: command.caller,
      userId: input.userId,
      cartId: input.cartId,
      cartVersion: input.cartVersion,
      idempotencyKey: command.idempotencyKey,
      requestHash: command.requestHash,
      request: toPlainJson(request),
      machineVersion: machine.version ?? "",
      machineHash,
      traceparent: command.traceparent,
      state: documentedStateOf(path),
      status: "PROCESSING",
      owner: this.deps.nodeId(),
      commitId: this.deps.ids.next("cmt"),
      entry: {
        seq: 1,
        at: this.deps.clock.now(),
        event: { type: "xstate.init", input, machineHash },
        from: null,
        to: path,
        contextHash: hashContext(snapshot),
      },
      checkpoint: { snapshot: dehydrate(machine, snapshot), timers: {} },
    });
    if (result.kind === "exists") return this.join(command, result.claim);
    if (result.kind !== "created") throw cartConflict(result, request.user.userId);
    this.deps.actors.begin(id, { snapshot, timers: {}, seq: 1, fence: result.fence, isReleased: false, isAnswered: false });
    return this.awaitAnswer(command, id);
  }

  private findClaim({ caller, idempotencyKey }: InitiateCommand): Promise<IdempotencyClaim | null> {
    return this.deps.store.findClaim(caller, idempotencyKey);
  }

  /** What stands in the way may be this key's own first call, which claimed the cart or took the last slot a moment ago. */
  private async joinOrThrow(command: InitiateCommand, refusal: CheckoutError): Promise<InitiateResult> {
    const claim = await this.findClaim(command);
    if (claim === null) throw refusal;
    return this.join(command, claim);
  }

  private async join(command: InitiateCommand, claim: IdempotencyClaim): Promise<InitiateResult> {
    if (claim.requestHash !== command.requestHash) {
      throw new ConflictError(
        "IDEMPOTENCY_KEY_REUSED",
        "This Idempotency-Key was used for another request. Use a new key for a new checkout.",
      );
    }
    if (claim.answer === null) return this.awaitAnswer(command, claim.contextId);
    return { kind: "answered", executionContextId: claim.contextId, answer: claim.answer, replayed: true };
  }

  /** Waits for this node's own commit; where another node runs the checkout, looks at the store now and then. */
  private async awaitAnswer(command: InitiateCommand, id: string): Promise<InitiateResult> {
    const deadline = this.deps.clock.monotonic() + command.waitMs;
    for (;;) {
      const remainingMs = deadline - this.deps.clock.monotonic();
      const answer = await this.deps.actors.audience.nextAnswer(id, Math.max(0, Math.min(remainingMs, this.waitSlice(id))));
      if (answer !== null) return { kind: "answered", executionContextId: id, answer, replayed: false };
      // The claim is read last: an answer that was stored between the two is found here.
      const claim = await this.findClaim(command);
      if (claim?.answer) return { kind: "answered", executionContextId: id, answer: claim.answer, replayed: true };
      if (claim?.isParked === true || this.deps.clock.monotonic() >= deadline) return this.unfinished(id);
    }
  }

  private waitSlice(id: string): number {
    return this.deps.actors.has(id) ? Number.POSITIVE_INFINITY : REMOTE_POLL_MS;
  }

  private async unfinished(id: string): Promise<InitiateResult> {
    const stored = await this.deps.view(id);
    if (stored === null) throw new TransientError("RETRY_SCHEDULED", "The checkout goes on. Send the same request again.");
    if (stored.parkedReason !== null) return { kind: "parked", view: stored.view };
    const wakeAt = this.deps.actors.wakeAt(id);
    const retryAfterMs =
      wakeAt === null ? RETRY_AFTER_DEFAULT_MS : Math.max(RETRY_AFTER_DEFAULT_MS, wakeAt - this.deps.clock.now());
    return { kind: "unfinished", view: stored.view, retryAfterMs };
  }
}

type CartConflict = Exclude<CreateResult, { readonly kind: "created" | "exists" }>;

/** The id of the checkout in the way is told only to its own user. */
function cartConflict(conflict: CartConflict, userId: string): CheckoutError {
  switch (conflict.kind) {
    case "cart_busy":
      return new ConflictError(
        "CHECKOUT_IN_PROGRESS",
        "This cart is being checked out. Follow that checkout, or wait until it ends.",
        {
          details: conflict.userId === userId ? { executionContextId: conflict.contextId } : {},
        },
      );
    case "cart_completed":
      return new ConflictError(
        "CART_ALREADY_CHECKED_OUT",
        "This version of the cart was already bought. Change the cart to buy again.",
        { details: conflict.userId === userId ? { executionContextId: conflict.contextId } : {} },
      );
    case "cart_stale":
      return new ConflictError(
        "CART_VERSION_STALE",
        "The cart has changed since. Load it again and check out its newest version.",
        {
          details: { highestSeen: conflict.highestSeen },
        },
      );
  }
}
