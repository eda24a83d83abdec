import type { Bus, CloudEvent } from "./bus.ts";

export type Subscriber = (event: CloudEvent) => void;

/** The embedded bus: subscribers in this process get each event after it was committed. It stores nothing of its own. */
export class InProcessBus implements Bus {
  private readonly subscribers = new Set<Subscriber>();

  /** Returns how to unsubscribe. */
  subscribe(subscriber: Subscriber): () => void {
    this.subscribers.add(subscriber);
    return () => this.subscribers.delete(subscriber);
  }

  /** Rejects when a subscriber throws: the relay tries again, so each subscriber must bear an event twice. */
  async publish(event: CloudEvent): Promise<void> {
    for (const subscriber of this.subscribers) subscriber(event);
  }

  async ping(): Promise<void> {}

  async stop(): Promise<void> {
    this.subscribers.clear();
  }
}
