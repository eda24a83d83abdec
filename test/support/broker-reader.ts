/** What is on the broker, as a plain client of it reads it: nothing of ours in between. */
import { jetstreamManager, type StoredMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

/** All of a stream, in its order. */
export async function storedOn(client: NatsConnection, stream: string): Promise<readonly StoredMsg[]> {
  const manager = await jetstreamManager(client);
  const { state } = await manager.streams.info(stream);
  const stored: StoredMsg[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq });
    if (message !== null) stored.push(message);
  }
  return stored;
}

/** The ids of its messages, in its order. */
export async function idsOn(client: NatsConnection, stream: string): Promise<readonly string[]> {
  return (await storedOn(client, stream)).map(({ header }) => header.get("Nats-Msg-Id"));
}
