/**
 * Calls from node to node: something waits in a checkout's inbox. A call is not kept, and may be lost: what it speaks of
 * is durable, and whoever runs that checkout looks for it now and then.
 */
import type { Database, Listening } from "./connect.ts";

const CHANNEL = "checkoutd_inbox";

export interface InboxCalls {
  /** To every node that listens, this one too. */
  call(contextId: string): Promise<void>;
  /** What is called from now on. Rejects when the way to the others can't be had. */
  listen(heard: (contextId: string) => void): Promise<Listening>;
}

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
