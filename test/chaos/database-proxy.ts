/**
 * The network between one node and Postgres, so that it can fail at a chosen moment: a connection cut at once; one that
 * is cut after the server has applied a commit and before its answer arrives; and a commit that is sent and arrives late.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const COMMIT_MAX_MS = 2_000;
/** What every commit's parameter has, and nothing else that is sent. */
const COMMIT = '"commit_id":"';
const HELD =
  /"id":"([^"]+)","expected_seq":(\d+),"fence":(\d+),"commit_id":"([^"]+)","state":"[^"]*","status":"[^"]*","at":([\d.]+)/g;

/** What waits for a commit resolves with null when none was sent within two seconds, and then nothing happens to the next. */
export interface DatabaseProxy {
  readonly port: number;
  /** Resolves when the next commit's statement has been passed on: its batch is in flight. */
  nextCommit(): Promise<true | null>;
  /** Cuts every connection at once; how many there were. */
  cut(): number;
  /** The next commit is applied, its answer is thrown away, and its connection is cut then. Resolves at the cut. */
  loseAnswer(): Promise<true | null>;
  /** From the next commit on its connection delivers nothing. Resolves when that commit has been sent. */
  holdCommit(): Promise<HeldStatement | null>;
  close(): void;
}

export interface HeldStatement {
  readonly commits: readonly HeldCommit[];
  /** Lets it arrive, and resolves when the server has answered; false: its connection was lost meanwhile. */
  deliver(): Promise<boolean>;
}

/** One checkout's commit in a statement that is still on its way. */
export interface HeldCommit {
  readonly executionContextId: string;
  readonly expectedSeq: number;
  readonly fence: number;
  /** Of its journal entry, in milliseconds since the epoch. */
  readonly at: number;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
}

/** What happens to the next commit that is sent: takes over its connection, or lets it pass. */
type Ambush = (link: Link, chunk: Buffer) => void;

/** Listens on a free port of the loopback, for a server on another. */
export async function openDatabaseProxy(serverPort: number): Promise<DatabaseProxy> {
  const links = new Set<Link>();
  const ambushes: Ambush[] = [];
  const listener = createServer({ noDelay: true }, (client) => {
    const link = { client, server: connect({ port: serverPort, host: "127.0.0.1", noDelay: true }) };
    links.add(link);
    for (const socket of [link.client, link.server]) {
      // Its end is told by "close"; which of the two failed is nobody's concern.
      socket.on("error", () => undefined);
      socket.once("close", () => {
        links.delete(link);
        end(link);
      });
    }
    link.server.on("data", (chunk) => void client.write(chunk));
    client.on("data", (chunk) => {
      const ambush = chunk.includes(COMMIT) ? ambushes.shift() : undefined;
      if (ambush === undefined) link.server.write(chunk);
      else ambush(link, chunk);
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const atNextCommit = <Result>(ambush: (link: Link, chunk: Buffer, done: (result: Result) => void) => void) =>
    new Promise<Result | null>((resolve) => {
      const laid: Ambush = (link, chunk) => {
        clearTimeout(timer);
        ambush(link, chunk, resolve);
      };
      const timer = setTimeout(() => {
        ambushes.splice(ambushes.indexOf(laid), 1);
        resolve(null);
      }, COMMIT_MAX_MS);
      ambushes.push(laid);
    });
  const { port } = listener.address() as { readonly port: number };
  return {
    port,
    nextCommit: () => atNextCommit(pass),
    cut: () => {
      for (const link of links) end(link);
      return links.size;
    },
    loseAnswer: () => atNextCommit(loseAnswerOf),
    holdCommit: () => atNextCommit(hold),
    close: () => {
      listener.close();
      for (const link of links) end(link);
    },
  };
}

function end({ client, server }: Link): void {
  client.destroy();
  server.destroy();
}

function pass({ server }: Link, chunk: Buffer, done: (isSent: true) => void): void {
  server.write(chunk);
  done(true);
}

/** The server answers when the statement is committed. */
function loseAnswerOf(link: Link, chunk: Buffer, done: (isLost: true) => void): void {
  link.server.removeAllListeners("data");
  link.server.once("data", () => end(link));
  link.server.once("close", () => done(true));
  link.server.write(chunk);
}

function hold(link: Link, chunk: Buffer, done: (held: HeldStatement) => void): void {
  const held = [chunk];
  link.client.removeAllListeners("data");
  link.client.on("data", (later) => held.push(later));
  done({
    commits: commitsIn(chunk),
    deliver: async () => {
      if (link.server.destroyed) return false;
      const answered = new Promise<boolean>((resolve) => {
        link.server.once("data", () => resolve(true));
        link.server.once("close", () => resolve(false));
      });
      link.client.removeAllListeners("data");
      link.client.on("data", (later) => link.server.write(later));
      link.server.write(Buffer.concat(held));
      return answered;
    },
  });
}

function commitsIn(chunk: Buffer): readonly HeldCommit[] {
  return [...chunk.toString("latin1").matchAll(HELD)].map(([, id = "", seq, fence, , at]) => ({
    executionContextId: id,
    expectedSeq: Number(seq),
    fence: Number(fence),
    at: Number(at),
  }));
}
