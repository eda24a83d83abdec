/** PgBouncer before a Postgres, in transaction mode: each transaction gets whichever of a few backends is free. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeOn } from "./server.ts";
import { findBinary, searchPath, startPlanned, unprivilegedUser, type TestServer } from "./servers.ts";

/** Fewer than the product's own connections, so that they have to share. */
const BACKENDS = 3;

const binary = findBinary("pgbouncer", searchPath());

/** A `describe` whose body gets the address of a Postgres and can start poolers before it; as `describeOn`, it says when it can't. */
export function describeBehindPgBouncer(name: string, body: (postgres: string) => void): void {
  describeOn("postgres", name, (postgres) => {
    if (binary !== null) return body(postgres);
    test("NOT COVERED: pgbouncer is not installed (npm run setup:servers)", (context) => {
      if (process.env["REQUIRE_SERVERS"] === "1") expect.fail("pgbouncer is not installed: npm run setup:servers");
      context.skip();
    });
  });
}

/** `settings` are lines of its `[pgbouncer]`. */
export async function startPgBouncer(postgres: URL, settings: readonly string[] = []): Promise<TestServer> {
  if (binary === null) throw new Error("pgbouncer is not installed: npm run setup:servers");
  return startPlanned({
    binary,
    user: unprivilegedUser(),
    readyLine: "process up",
    crashSignal: "SIGTERM",
    prepare: (directory, port) => writeFile(join(directory, "pgbouncer.ini"), configuration(postgres, port, settings)),
    args: (directory) => [join(directory, "pgbouncer.ini")],
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  });
}

function configuration({ hostname, port, username }: URL, ownPort: number, settings: readonly string[]): string {
  return `[databases]
* = host=${hostname} port=${port} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${ownPort}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${BACKENDS}
${settings.join("\n")}
`;
}
