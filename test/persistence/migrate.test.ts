import { expect, test } from "vitest";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";

describeOn("postgres", "migrations", (server) => {
  test("nodes that start together all find the schema complete, and nothing to do the next time", async () => {
    const created = await createTestDatabase(server);
    const nodes = [1, 2, 3, 4].map(() => connectPostgres(created.url));
    await Promise.all(nodes.map(migrate));
    await Promise.all(nodes.map(migrate));
    const [database] = nodes;
    expect(await database?.rows("select count(*) as applied from checkoutd.migrations")).toEqual([{ applied: 2 }]);
    const [settings] =
      (await database?.rows<{ options: string[] }>(
        "select reloptions as options from pg_class where oid = 'checkoutd.contexts'::regclass",
      )) ?? [];
    expect(settings?.options).toContain("fillfactor=50");
    for (const node of nodes) await node.close();
    await created.drop();
  });

  test("a failed migration leaves nothing behind", async () => {
    const created = await createTestDatabase(server);
    const database = connectPostgres(created.url);
    await database.rows("create schema checkoutd");
    await database.rows("create table checkoutd.contexts (somebody_elses int)");
    await expect(migrate(database)).rejects.toBeInstanceOf(Error);
    expect(await database.rows("select tablename from pg_tables where schemaname = 'checkoutd'")).toEqual([
      { tablename: "contexts" },
    ]);
    await database.close();
    await created.drop();
  });

  test("a database of a build that went another way is refused; one that is ahead is fine", async () => {
    const created = await createTestDatabase(server);
    const database = connectPostgres(created.url);
    await migrate(database);
    await database.rows("insert into checkoutd.migrations (hash, generated_at) values ('from a newer build', 1)");
    await expect(migrate(database)).resolves.toBeUndefined();
    await database.rows("delete from checkoutd.migrations where hash <> 'from a newer build'");
    await expect(migrate(database)).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
    await database.close();
    await created.drop();
  });
});
