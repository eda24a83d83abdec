/**
 * Vitest's global setup: one desk per run, in the main process. A test file asks it for a server; the
 * first to ask makes it start, so a run of unit tests starts none. What could not be started is said
 * at the very end of the run, after vitest's own summary.
 */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { TestProject } from "vitest/node";
import { SERVER_KINDS, startServer, type ServerKind, type TestServer } from "./servers.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where test files ask for servers; see server.ts. */
    serverDesk: string;
  }
}

/** What the desk answers. */
export interface DeskAnswer {
  /** Null: not installed. */
  readonly url: string | null;
}

const PRESET = { postgres: "TEST_DATABASE_URL", redis: "TEST_REDIS_URL", nats: "TEST_NATS_URL" } as const;

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = new Map<ServerKind, Promise<TestServer | null>>();
  const uncovered = new Map<ServerKind, Set<string>>();

  const addressOf = async (kind: ServerKind): Promise<string | null> => {
    const preset = process.env[PRESET[kind]];
    if (preset !== undefined && preset !== "") return preset;
    if (!started.has(kind)) started.set(kind, startServer(kind));
    return (await started.get(kind))?.url ?? null;
  };

  const desk = createServer((request, response) => {
    const asked = new URL(request.url ?? "/", "http://desk");
    const kind = SERVER_KINDS.find((known) => `/${known}` === asked.pathname);
    if (kind === undefined) return answer(response, 404, { error: `no such server: ${asked.pathname}` });
    addressOf(kind).then(
      (url) => {
        const file = asked.searchParams.get("for") ?? "a test";
        if (url === null) uncovered.set(kind, (uncovered.get(kind) ?? new Set()).add(file));
        answer(response, 200, { url } satisfies DeskAnswer);
      },
      (error: unknown) => answer(response, 500, { error: String(error) }),
    );
  }).listen(0, "127.0.0.1");
  await once(desk, "listening");
  const address = desk.address();
  if (address === null || typeof address === "string") throw new Error("the server desk has no port");
  project.provide("serverDesk", `http://127.0.0.1:${address.port}`);

  return async () => {
    desk.close();
    desk.closeAllConnections();
    const outcomes = await Promise.allSettled(started.values());
    const servers = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value !== null ? [outcome.value] : [],
    );
    await Promise.all(servers.map((server) => server.stop()));
    if (uncovered.size > 0) process.stderr.write(notCovered(uncovered));
  };
}

function answer(response: ServerResponse, status: number, body: DeskAnswer | { readonly error: string }): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(body));
}

function notCovered(uncovered: ReadonlyMap<ServerKind, ReadonlySet<string>>): string {
  const bar = "=".repeat(78);
  const lines = [...uncovered].flatMap(([kind, files]) => [
    `  ${kind} is not installed:`,
    ...[...files].map((file) => `    ${file}`),
  ]);
  return ["", bar, "NOT COVERED in this run", ...lines, "  To cover them:  npm run setup:servers", bar, "", ""].join("\n");
}
