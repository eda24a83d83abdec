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
      const lost = given.kind === "since" ? await countTombstones(database, given.since) : 0;
      if (lost > 0) process.stderr.write(`Events of ${lost} checkouts that ended since then were removed by retention.\n`);
      if (count > 0 || given.kind === "since") return EXIT.fine;
      const reason = (await hasTombstone(database, given.executionContextId))
        ? "none any more: retention removed what was published"
        : "no event that was published";
      process.stderr.write(`${given.executionContextId} has ${reason}.\n`);
      return EXIT.found;
    } finally {
      await link.close();
    }
  } finally {
    await database.close();
  }
}

async function hasTombstone(database: Database, id: string): Promise<boolean> {
  const found = await database.rows("select from checkoutd.contexts where id = $1 and type_seqs is not null", [id]);
  return found.length > 0;
}

/** What a replay since then can't have, as far as tombstones tell; a checkout that was never asked to pay left none. */
async function countTombstones(database: Database, since: number): Promise<number> {
  const [counted] = await database.rows<{ count: number }>(
    "select count(*)::int as count from checkoutd.contexts where type_seqs is not null and finished_at >= to_timestamp($1::double precision / 1000)",
    [since],
  );
  return counted?.count ?? 0;
}

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
