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

/** Of all that was committed, as `<contextId>:<event_seq>`: what is not on the stream once, in the order of its checkout. */
export function streamBreaches(committed: readonly string[], stored: readonly string[]): readonly string[] {
  const [expected, found] = [new Set(committed), new Set(stored)];
  const breaches = [
    ...committed.filter((id) => !found.has(id)).map((id) => `${id} was committed, and is not on the stream`),
    ...stored.filter((id) => !expected.has(id)).map((id) => `${id} is on the stream, and was never committed`),
    ...stored.filter((id, place) => stored.indexOf(id) !== place).map((id) => `${id} is on the stream twice`),
  ];
  const last = new Map<string, number>();
  for (const id of found) {
    const [contextId = "", seq] = id.split(":");
    const before = last.get(contextId) ?? 0;
    if (Number(seq) !== before + 1) breaches.push(`${id} is on the stream after the ${before}. of its checkout`);
    last.set(contextId, Number(seq));
  }
  return breaches;
}
