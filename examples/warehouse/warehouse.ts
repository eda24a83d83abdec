/** The warehouse's own database. A reservation and the progress of its subscription change in one transaction, or not at all. */
import { PGlite, type Transaction } from "@electric-sql/pglite";
import type { CloudEvent, Delivery, Progress } from "../../subscribe/subscribe.ts";

const TABLES = `
create table if not exists reservations (
  line_item_id text primary key,
  checkout_id text not null,
  status text not null check (status in ('RESERVED', 'RELEASED'))
);
create table if not exists progress (checkout_id text primary key, position integer not null);
`;

type Query = Pick<Transaction, "query">;

export class Warehouse implements Progress {
  private constructor(private readonly database: PGlite) {}

  /** One process a directory: PGlite is a database inside its process. */
  static async open(directory: string): Promise<Warehouse> {
    const database = await PGlite.create(directory);
    await database.exec(TABLES);
    return new Warehouse(database);
  }

  /** Rejects, and changes nothing, when another process handled this event meanwhile. */
  async handle(event: CloudEvent, { from, to }: Pick<Delivery, "from" | "to">): Promise<void> {
    const lineItemIds = lineItemIdsOf(event);
    const status = event.type.endsWith("_reverted") ? "RELEASED" : "RESERVED";
    await this.database.transaction(async (transaction) => {
      if (!(await moved(transaction, event.subject, from, to))) throw new Error(`${event.id} was handled by somebody else.`);
      await transaction.query(
        `insert into reservations (line_item_id, checkout_id, status) select unnest($1::text[]), $2, $3
         on conflict (line_item_id) do update set status = excluded.status`,
        [lineItemIds, event.subject, status],
      );
    });
  }

  async last(checkout: string): Promise<number> {
    const { rows } = await this.database.query<{ position: number }>("select position from progress where checkout_id = $1", [
      checkout,
    ]);
    return rows[0]?.position ?? 0;
  }

  /** For the events that nobody handles; after `handle`, it finds the position where it wants it. */
  async advance(checkout: string, from: number, to: number): Promise<number> {
    return (await moved(this.database, checkout, from, to)) ? to : this.last(checkout);
  }

  async reservations(): Promise<Readonly<Record<string, string>>> {
    const { rows } = await this.database.query<{ id: string; status: string }>(
      "select line_item_id as id, status from reservations",
    );
    return Object.fromEntries(rows.map(({ id, status }) => [id, status]));
  }

  async close(): Promise<void> {
    await this.database.close();
  }
}

/** A revocation names the ids alone; a confirmation has the line items whole. */
export function lineItemIdsOf({ data }: CloudEvent): readonly string[] {
  const { lineItemIds, lineItems = [] } = data as {
    readonly lineItemIds?: readonly string[];
    readonly lineItems?: readonly { readonly lineItemId: string }[];
  };
  return lineItemIds ?? lineItems.map(({ lineItemId }) => lineItemId);
}

/** Only from where it stands: this is what refuses a second handling. */
async function moved(database: Query, checkout: string, from: number, to: number): Promise<boolean> {
  const { rows } = await database.query(
    `insert into progress (checkout_id, position) select $1::text, $3::integer where $2::integer = 0 or exists (select from progress where checkout_id = $1)
     on conflict (checkout_id) do update set position = excluded.position where progress.position = $2
     returning position`,
    [checkout, from, to],
  );
  return rows.length === 1;
}
