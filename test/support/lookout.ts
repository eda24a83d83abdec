/** Watches the transitions of several nodes, so that whoever waits for a checkout needn't ask again and again. */
import type { JournaledEvent } from "../../persistence/store.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";

type Mark = "finished" | "declined" | "awaiting payment";

export class Lookout {
  readonly #marks = new Map<string, Set<Mark>>();
  readonly #waiting = new Map<string, Set<() => void>>();

  see = ({ executionContextId: id, entry, state }: TransitionNotice): void => {
    const marks = this.#marks.get(id) ?? new Set<Mark>();
    this.#marks.set(id, marks);
    const isFinished = state === "COMPLETED" || state === "ROLLEDBACK";
    if (isFinished) marks.add("finished");
    if (isDecline(entry.event)) marks.add("declined");
    if (entry.to.endsWith(".awaitingPayment")) marks.add("awaiting payment");
    for (const look of this.#waiting.get(id) ?? []) look();
  };

  /** Resolves when any of these has happened to the checkout, also long ago; rejects after `patienceMs`. */
  async until(id: string, wanted: readonly Mark[], patienceMs: number): Promise<void> {
    const hasCome = () => wanted.some((mark) => this.#marks.get(id)?.has(mark));
    if (hasCome()) return;
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting);
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        if (waiting.size === 0) this.#waiting.delete(id);
        settle();
      };
      const look = () => hasCome() && end(resolve);
      const late = () => end(() => reject(new Error(`${id} came to none of ${wanted.join(", ")} within ${patienceMs} ms`)));
      const timer = setTimeout(late, patienceMs);
      waiting.add(look);
    });
  }
}

/** An event of the provider says so, or its answer to a question. */
function isDecline({ type, output }: JournaledEvent): boolean {
  const { outcome } = (output ?? {}) as { readonly outcome?: { readonly kind: string } };
  return type === "payment_collection_requirement_failed" || outcome?.kind === "declined";
}
