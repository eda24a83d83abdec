import type { Database } from "./connect.ts";
import type { InboxCalls } from "./inbox-calls.ts";

const CHANNEL = "checkoutd_inbox";

/** By LISTEN and NOTIFY. Through a pooler that keeps no session for us nothing is heard, and nothing else is harmed. */
export function sqlInboxCalls(database: Database): InboxCalls {
  const { listen } = database;
  if (listen === null) return NOBODY_ELSE;
  return {
    call: async (contextId) => void (await database.rows("select pg_notify($1, $2)", [CHANNEL, contextId])),
    listen: (heard) => listen(CHANNEL, heard),
  };
}

/** An embedded database has one node. */
const NOBODY_ELSE: InboxCalls = {
  call: async () => {},
  listen: async () => ({ ping: async () => {}, end: () => {} }),
};
