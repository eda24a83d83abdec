import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { integer, jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database, Orm } from "../../persistence/connect.ts";

const notes = pgTable("notes", {
  id: text("id").primaryKey(),
  round: text("round").notNull(),
  place: integer("place").notNull(),
  data: jsonb("data"),
  at: timestamp("at", { withTimezone: true, mode: "date" }).notNull().defaultNow(),
});

const TRANSACTIONS = 40;
const STATEMENTS = 5;

/** What every `Database` must do. `setup` opens an empty one, and the suite closes what it returns. */
export function databaseConformance(name: string, setup: () => Promise<Database>): void {
  describe(`Database: ${name}`, () => {
    let database: Database;

    beforeAll(async () => {
      database = await setup();
      await database.rows(
        "create table notes (id text primary key, round text not null, place int not null, data jsonb, at timestamptz not null default now())",
      );
    });
    afterAll(async () => {
      await database.close();
      await database.close();
      await expect(database.ping()).rejects.toBeInstanceOf(Error);
    });

    const roundOf = (id: string) =>
      database.rows<{ place: number }>("select place from notes where round = $1 order by place", [id]);

    test("answers a ping", async () => {
      await expect(database.ping()).resolves.toBeUndefined();
    });

    test("gives rows in one shape: numbers, Dates for instants, text for dates, parsed JSON, nulls", async () => {
      const at = new Date("2026-01-08T10:15:00.123Z");
      const rows = await database.rows(
        `select 9007199254740991::bigint as big, 1.5::numeric as exact, count(*) as count, $1::timestamptz as at, '2026-01-08'::date as day,
           $2::text::jsonb as json, $3::jsonb as "jsonObject", null::text as nothing,
           $4::int as whole, $5::boolean as truth, $6::text as text
         from (values (1), (2)) v`,
        [at, '{"a":[1,"ü"]}', { b: null }, 7, false, null],
      );
      expect(rows).toEqual([
        {
          big: Number.MAX_SAFE_INTEGER,
          exact: 1.5,
          count: 2,
          at,
          day: "2026-01-08",
          json: { a: [1, "ü"] },
          jsonObject: { b: null },
          nothing: null,
          whole: 7,
          truth: false,
          text: null,
        },
      ]);
      expect(await database.rows("update notes set place = 1 where false")).toEqual([]);
    });

    test("drizzle reads what it wrote, outside and inside a transaction", async () => {
      const row = {
        id: randomUUID(),
        round: "orm",
        place: 1,
        data: { nested: ["ü", null] },
        at: new Date("2026-01-08T10:15:00.123Z"),
      };
      const other = { ...row, id: randomUUID() };
      await database.orm.insert(notes).values(row);
      await database.transaction(async (tx) => {
        await tx.insert(notes).values(other);
        expect(
          await tx
            .select()
            .from(notes)
            .where(sql`${notes.id} = ${other.id}`),
        ).toEqual([other]);
      });
      const both = await database.orm
        .select()
        .from(notes)
        .where(sql`${notes.round} = 'orm'`);
      expect(both).toHaveLength(2);
      expect(both).toEqual(expect.arrayContaining([row, other]));
    });

    test("an error carries its SQLSTATE", async () => {
      await expect(database.rows("select 1/0")).rejects.toMatchObject({ code: "22012" });
      await expect(database.rows("select * from nowhere")).rejects.toMatchObject({ code: "42P01" });
    });

    test("a transaction that throws leaves nothing, and its error arrives as it was", async () => {
      const round = randomUUID();
      const error = new Error("changed my mind");
      const attempt = database.transaction(async (tx) => {
        await insert(tx, round, 1);
        throw error;
      });
      await expect(attempt).rejects.toBe(error);
      expect(await roundOf(round)).toEqual([]);
    });

    test("a transaction in which a statement failed unnoticed is not taken for committed", async () => {
      const round = randomUUID();
      const attempt = database.transaction(async (tx) => {
        await insert(tx, round, 1);
        await tx.execute(sql`select 1/0`).then(undefined, () => "overlooked");
      });
      await expect(attempt).rejects.toBeInstanceOf(Error);
      expect(await roundOf(round)).toEqual([]);
    });

    test("a nested transaction rolls back alone", async () => {
      const round = randomUUID();
      await database.transaction(async (tx) => {
        await insert(tx, round, 1);
        const nested = tx.transaction(async (inner) => {
          await insert(inner as unknown as Orm, round, 2);
          throw new Error("only this");
        });
        await expect(nested).rejects.toThrow("only this");
        await tx.transaction((inner) => insert(inner as unknown as Orm, round, 3));
      });
      expect((await roundOf(round)).map((row) => row.place)).toEqual([1, 3]);
    });

    test("many transactions at once share nothing: each has one backend, and commits or rolls back as a whole", async () => {
      const round = randomUUID();
      const traffic = Array.from({ length: TRANSACTIONS * 3 }, () => database.rows("select count(*) from notes"));
      const outcomes = await Promise.allSettled(
        Array.from({ length: TRANSACTIONS }, (_, i) =>
          database.transaction(async (tx) => {
            const backends = new Set<unknown>();
            for (let statement = 0; statement < STATEMENTS; statement++) {
              await insert(tx, round, i);
              const [seen] = await tx
                .select({ pid: sql`pg_backend_pid()`, transaction: sql`txid_current()::text` })
                .from(sql`(values (1)) v`);
              backends.add(JSON.stringify(seen));
            }
            if (i % 3 === 0) throw new Error("every third");
            return backends.size;
          }),
        ),
      );
      await Promise.all(traffic);
      for (const [i, outcome] of outcomes.entries()) {
        expect(outcome).toMatchObject(i % 3 === 0 ? { status: "rejected" } : { status: "fulfilled", value: 1 });
      }
      const counts = await database.rows(
        "select place, count(*) as rows from notes where round = $1 group by place order by place",
        [round],
      );
      const committed = Array.from({ length: TRANSACTIONS }, (_, place) => place).filter((place) => place % 3 !== 0);
      expect(counts).toEqual(committed.map((place) => ({ place, rows: STATEMENTS })));
    });

    test("a statement outside an open transaction neither sees it nor waits for ever", async () => {
      const round = randomUUID();
      let outside: Promise<unknown[]> = Promise.resolve([]);
      await database.transaction(async (tx) => {
        await insert(tx, round, 1);
        outside = roundOf(round);
      });
      // The embedded database answers after the transaction, Postgres perhaps before it.
      expect([0, 1]).toContain((await outside).length);
    });

    async function insert(tx: Orm, round: string, place: number): Promise<void> {
      await tx.insert(notes).values({ id: randomUUID(), round, place });
    }
  });
}
