/** How a test file gets a real server. Which ones exist, and who starts them: server-desk.ts. */
import { randomBytes } from "node:crypto";
import { relative } from "node:path";
import postgres from "postgres";
import { describe, expect, inject, test } from "vitest";
import type { DeskAnswer } from "./server-desk.ts";
import type { ServerKind } from "./servers.ts";

/**
 * A `describe` whose body gets the address of a real server. Without that server, one test stands for the
 * body: skipped under the name NOT COVERED and named again at the end of the run, failed with REQUIRE_SERVERS=1.
 */
export function describeOn(kind: ServerKind, name: string, body: (url: string) => void): void {
  describe(name, async () => {
    const url = await serverUrl(kind);
    if (url !== null) return body(url);
    test(`NOT COVERED: ${kind} is not installed (npm run setup:servers)`, (context) => {
      if (process.env.REQUIRE_SERVERS === "1")
        expect.fail(`REQUIRE_SERVERS=1, and ${kind} is not installed: npm run setup:servers`);
      context.skip();
    });
  });
}

async function serverUrl(kind: ServerKind): Promise<string | null> {
  const file = relative(process.cwd(), expect.getState().testPath ?? "a test");
  const response = await fetch(`${inject("serverDesk")}/${kind}?for=${encodeURIComponent(file)}`);
  if (!response.ok) throw new Error(`${kind} did not start: ${await response.text()}`);
  return ((await response.json()) as DeskAnswer).url;
}

export interface TestDatabase {
  readonly url: string;
  /** Disconnects whoever is still in it. */
  drop(): Promise<void>;
}

/** A fresh, empty database on that server. */
export async function createTestDatabase(serverAddress: string): Promise<TestDatabase> {
  const name = `checkoutd_test_${randomBytes(8).toString("hex")}`;
  await administer(serverAddress, `create database ${name}`);
  const url = new URL(serverAddress);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => administer(serverAddress, `drop database if exists ${name} with (force)`) };
}

async function administer(serverAddress: string, statement: string): Promise<void> {
  const connection = postgres(serverAddress, { max: 1, onnotice: () => {} });
  try {
    await connection.unsafe(statement);
  } finally {
    await connection.end();
  }
}
