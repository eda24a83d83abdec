import type { InboxCalls, Listening } from "../../persistence/inbox-calls.ts";

export class MemoryCalls implements InboxCalls {
  readonly #heard = new Set<(contextId: string) => void>();

  /** `travel` is a call's way to one listener; false = it is lost. */
  constructor(private readonly travel: () => Promise<boolean> = async () => true) {}

  async call(contextId: string): Promise<void> {
    for (const heard of this.#heard)
      void this.travel().then((hasArrived) => hasArrived && this.#heard.has(heard) && heard(contextId));
  }

  async listen(heard: (contextId: string) => void): Promise<Listening> {
    this.#heard.add(heard);
    const end = () => void this.#heard.delete(heard);
    const ping = () => (this.#heard.has(heard) ? Promise.resolve() : Promise.reject(new Error("Nothing is heard any more.")));
    return { ping, end };
  }
}
