import type { Database } from "./connect.ts";
import type { InboxCalls } from "./inbox-calls.ts";

const CHANNEL = "checkoutd_inbox";

/** By LISTEN and NOTIFY, which need a session: through a pooler that keeps none, each node finds by itself what it was not called for. */
export function sqlInboxCalls(database: Database): InboxCalls {
  const { listen } = database;
  if (listen === null) return NO_CALLS;
  return {
    call: async (contextId) => void (await database.rows("select pg_notify($1, $2)", [CHANNEL, contextId])),
    listen: (heard) => listen(CHANNEL, heard),
  };
}

/** An embedded database has one node. */
const NO_CALLS: InboxCalls = {
  call: async () => {},
  listen: async () => ({ ping: async () => {}, end: () => {} }),
};
