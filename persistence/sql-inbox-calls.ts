import type { Database } from "./connect.ts";
import type { InboxCalls, Listening } from "./inbox-calls.ts";

const CHANNEL = "checkoutd_inbox";

/** By NOTIFY, and by LISTEN where there is a session: a node behind a pooler finds by itself what it was not called for. */
export function sqlInboxCalls(database: Database): InboxCalls {
  const { kind, listen } = database;
  return {
    call: async (contextId) => {
      // An embedded database has one node.
      if (kind === "postgres") await database.rows("select pg_notify($1, $2)", [CHANNEL, contextId]);
    },
    listen: (heard) => (listen === null ? Promise.resolve(NOTHING_IS_HEARD) : listen(CHANNEL, heard)),
  };
}

const NOTHING_IS_HEARD: Listening = { ping: async () => {}, end: () => {} };
