/**
 * Calls from node to node: something waits in a checkout's inbox. A call is not kept, and may be lost: what it speaks of
 * is durable, and whoever runs that checkout looks for it now and then.
 */
export interface InboxCalls {
  /** To every node that listens, this one too. */
  call(contextId: string): Promise<void>;
  /** What is called from now on. Rejects when the way to the others can't be had. */
  listen(heard: (contextId: string) => void): Promise<Listening>;
}

export interface Listening {
  /** Rejects once the connection is lost: then nothing is heard any more. */
  ping(): Promise<void>;
  /** Safe twice. */
  end(): void;
}
