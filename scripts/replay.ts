/** `npm run replay`: events once more, beside the stream, for whoever lost them. */
import { connectNats, type NatsLink } from "../messaging/nats-connection.ts";
import { NatsBus } from "../messaging/nats-bus.ts";
import { EVENT_SOURCE } from "../messaging/subjects.ts";
import type { Database } from "../persistence/connect.ts";
import type { PublishedEvent } from "../persistence/store.ts";
import { SqlStore } from "../persistence/sql-store.ts";
import { toCloudEvent } from "../runtime/publication.ts";
import { ConfigError, loadConfig, type Config } from "../server/config.ts";
import { systemIds as ids } from "../server/system-ports.ts";
import { openExisting } from "./existing-database.ts";
import { progressTo, say } from "./output.ts";
import { readArguments, USAGE, type ReplayArguments } from "./replay/arguments.ts";
import { EXIT, runScript } from "./run-script.ts";

const PAGE = 500;

async function run(given: ReplayArguments): Promise<number> {
  const config = loadConfig(process.env);
  const database = await openExisting(config);
  try {
    const link = await openLink(config);
    try {
      const count = await replay(new NatsBus(link), pagesOf(new SqlStore(database), given));
      const missing = await missingFrom(database, given, count);
      if (missing === null) return EXIT.fine;
      process.stderr.write(`${missing}\n`);
      return EXIT.found;
    } finally {
      await link.close();
    }
  } finally {
    await database.close();
  }
}

/** What was asked for and is not there, as far as can be known: a checkout that was never asked to pay leaves no trace. */
async function missingFrom(database: Database, given: ReplayArguments, count: number): Promise<string | null> {
  const [condition, value] = given.kind === "context" ? ["id = $1", given.executionContextId] : [ENDED_SINCE, given.since];
  const tombstones = await database.rows(`select from checkoutd.contexts where type_seqs is not null and ${condition} limit 1`, [
    value,
  ]);
  const asked = given.kind === "context" ? given.executionContextId : "Since then";
  if (tombstones.length > 0) return `${asked}: earlier events were removed by retention, and can't be replayed.`;
  return count === 0 && given.kind === "context" ? `${given.executionContextId} has no event that was published.` : null;
}

const ENDED_SINCE = "finished_at >= to_timestamp($1::double precision / 1000)";

function openLink({ natsUrl, natsReplicas: replicas }: Config): Promise<NatsLink> {
  if (natsUrl === null) throw new ConfigError(["NATS_URL must be set: without a broker there is nothing to replay to."]);
  return connectNats(natsUrl, { replicas, onConnectionError: (error) => process.stderr.write(`${String(error)}\n`) });
}

async function replay(bus: NatsBus, pages: AsyncIterable<readonly PublishedEvent[]>): Promise<number> {
  const replayId = ids.next("rpl");
  const progress = progressTo(process.stderr, "events replayed");
  const checkouts = new Set<string>();
  let count = 0;
  for await (const page of pages) {
    for (const event of page) {
      await bus.replay(toCloudEvent(event, EVENT_SOURCE), replayId);
      checkouts.add(event.contextId);
      progress.tell(++count);
    }
  }
  progress.end();
  say(`${count} events of ${checkouts.size} checkouts replayed to checkout.replay.v1.> (${replayId})`);
  return count;
}

async function* pagesOf(store: SqlStore, given: ReplayArguments): AsyncIterable<readonly PublishedEvent[]> {
  if (given.kind === "context") {
    yield (await store.events(given.executionContextId)).filter(({ acknowledgedAt }) => acknowledgedAt !== null);
    return;
  }
  for (let after: PublishedEvent | null = null; ;) {
    const page: readonly PublishedEvent[] = await store.acknowledged(given.since, after, PAGE);
    if (page.length === 0) return;
    yield page;
    after = page.at(-1) ?? null;
  }
}

await runScript({ usage: USAGE, readArguments, run, failure: "The events can't be replayed" });
