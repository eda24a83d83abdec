/** Somebody who looks after what needs attention: does by hand what can't be done, and says so. */
import type { UndoName } from "../../machines/context.ts";
import { heldCaptures } from "../../machines/payment.ts";
import { nextDeferred } from "../../machines/rollback.ts";
import { rollbackInput } from "../../machines/step-inputs.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";
import { checkoutExecutions } from "../../steps/actors.ts";
import { Client, PATIENCE_MS, type ClientWorld } from "./client.ts";
import type { FakeParticipants } from "./fake-participants.ts";
import type { Traffic } from "./traffic.ts";

export interface OperatorWorld extends ClientWorld {
  readonly participants: FakeParticipants;
  readonly traffic: Traffic;
}

type Target = { readonly undo: UndoName } | { readonly pspReference: string };

const EXPECTED = new Set(["NOTHING_TO_RESOLVE"]);

export class Operator {
  /** What it is busy with. */
  outstanding = 0;
  readonly #client: Client;

  constructor(
    private readonly world: OperatorWorld,
    private readonly afterMs: number,
  ) {
    this.#client = new Client("the operator", EXPECTED, world);
  }

  /** Of each transition: one that waits to be tried again may be taken care of by then. */
  hear({ executionContextId, entry }: TransitionNotice): void {
    if (!/\.(deferred|refunding)\.backingOff$/.test(entry.to)) return;
    this.outstanding++;
    this.world.clock.after(this.afterMs, () => {
      this.#lookAfter(executionContextId, entry.seq)
        .catch((error: unknown) => this.world.complain(`the operator of ${executionContextId} sees ${String(error)}`))
        .finally(() => this.outstanding--);
    });
  }

  async #lookAfter(executionContextId: string, seq: number): Promise<void> {
    const look = await this.#client.persist("looks", (node) => node.orchestrator.view(executionContextId));
    // Something happened since: that has told of itself.
    if (look.kind === "refused" || look.value.view.seq !== seq) return;
    const target = await this.#doByHand(look.value.view);
    if (target === null) return;
    const reply = await this.#client.persist("resolves", (node) => {
      const idempotencyKey = JSON.stringify(target);
      const command = { executionContextId, idempotencyKey, operator: "op_1", reference: "INC-1", target };
      return node.orchestrator.resolve({ ...command, waitMs: PATIENCE_MS / 2 });
    });
    if (reply.kind === "answered") this.world.count("resolved by hand");
  }

  /** What was done; null = nothing yet. */
  async #doByHand({ context, path }: CheckoutView): Promise<Target | null> {
    const { participants, traffic, clock } = this.world;
    const { executionContextId, payment } = context;
    // A call that still arrives would give the same money back once more.
    const isQuiet = traffic.isQuiet(executionContextId);
    if (path.endsWith("refunding.backingOff")) {
      const [owed] = payment.owed;
      if (owed === undefined || !isQuiet) return null;
      // The provider's books first: a refund whose reply was lost stands there, and the next try finds it.
      const refunds = participants.payments.find(executionContextId)?.givenBack ?? [];
      const stands = refunds.some(({ refund, hasFailed }) => refund.pspReference === owed.pspReference && !hasFailed);
      return stands ? null : { pspReference: owed.pspReference };
    }
    const undo = nextDeferred(context);
    const input = rollbackInput(context, undo);
    if (undo !== "paymentRequest") {
      const requests = { load: () => Promise.reject(new Error("No undo reads the request.")) };
      const noLocks = () => Promise.reject(new Error("No undo takes locks."));
      const executions = checkoutExecutions({ services: participants.services, requests, clock }, noLocks);
      await executions.handleRollback(input, new AbortController().signal);
      return { undo };
    }
    if (payment.pcrId === null || !isQuiet) return null;
    // Money that the provider never told of can't be given back by hand in our name: the reversal finds it.
    const known = [...heldCaptures(payment), ...payment.refunds].map(({ pspReference }) => pspReference);
    const captures = participants.payments.find(executionContextId)?.captures ?? [];
    if (captures.some(({ pspReference }) => !known.includes(pspReference))) return null;
    await participants.payments.cancelIfPending({ executionContextId, key: input.key, pcrId: payment.pcrId });
    return { undo };
  }
}
