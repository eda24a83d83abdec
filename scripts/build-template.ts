/** `npm run template`, and npm's `prepare`: the migrated, empty database that a first start unpacks. Does nothing when it is up to date. */
import { embeddedDatabase, openClient } from "../persistence/embedded-database.ts";
import { migrate } from "../persistence/migrate.ts";
import { hasTemplate, writeTemplate } from "../persistence/template.ts";

if (await hasTemplate()) {
  console.log("The database template is up to date.");
} else {
  const client = await openClient(undefined);
  const database = await embeddedDatabase(client);
  await migrate(database);
  // Without it the tarball holds the migrations twice: as data and as a log to replay.
  await database.rows("checkpoint");
  console.log(`Wrote ${await writeTemplate(client)}`);
  await database.close();
}
