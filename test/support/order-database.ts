/** An in-memory database with the participants' tables, and ports that a test drives. */
import { PGlite } from "@electric-sql/pglite";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { drizzle } from "drizzle-orm/pglite";
import type { Database, Orm } from "../../persistence/connect.ts";
import * as orderSchema from "../../persistence/order-schema.ts";
import { checkoutd } from "../../persistence/schema.ts";
import * as serviceSchema from "../../persistence/service-schema.ts";
import type { Clock, IdPrefix, Ids } from "../../steps/ports.ts";

export async function openOrderDatabase(): Promise<Database> {
  const client = new PGlite();
  const tables = { checkoutd, ...serviceSchema, ...orderSchema };
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(tables));
  await client.exec(statements.join("\n"));
  const orm: Orm = drizzle(client);
  return {
    kind: "embedded",
    orm,
    rows: async <Row>(text: string, parameters: readonly unknown[] = []) => (await client.query<Row>(text, [...parameters])).rows,
    transaction: (work) => orm.transaction(work),
    ping: async () => void (await client.query("select 1")),
    close: () => client.close(),
  };
}

/** Sortable, and different in every run of a file, because tests share a database. */
export function countingIds(): Ids {
  let last = 0;
  return { next: (prefix: IdPrefix) => `${prefix}_${String(++last).padStart(8, "0")}`, random: () => 0.5 };
}

export class ManualClock implements Clock {
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  constructor(private time = Date.UTC(2027, 0, 8, 10)) {}

  now(): number {
    return this.time;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.time + delayMs, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  advance(byMs: number): void {
    this.time += byMs;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.time)) {
      this.#timers.delete(timer);
      timer.run();
    }
  }
}
