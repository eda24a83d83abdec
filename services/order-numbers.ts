import { sql } from "drizzle-orm";
import type { Database } from "../persistence/connect.ts";
import { orderNumbers } from "../persistence/order-schema.ts";

/**
 * Order numbers that people can read out: `BLR-000123`, unique, rising per city and node, with gaps.
 *
 * Taken from the database in blocks: one number at a time would put every checkout of a city in a
 * queue for one row's lock. A process that stops loses the rest of its block, which costs nothing.
 */
export class OrderNumbers {
  readonly #blocks = new Map<string, Promise<Block>>();

  constructor(private readonly database: Database) {}

  async next(cityId: string, executionContextId: string): Promise<string> {
    for (;;) {
      const pending = this.#blocks.get(cityId) ?? this.#reserve(cityId, executionContextId);
      const block = await pending;
      if (block.next <= block.last) return `${cityId}-${String(block.next++).padStart(DIGITS_MIN, "0")}`;
      // Used up by those who waited with us. Whoever sees it first takes the next block for all.
      if (this.#blocks.get(cityId) === pending) this.#blocks.delete(cityId);
    }
  }

  #reserve(cityId: string, executionContextId: string): Promise<Block> {
    const block = this.#take(cityId, executionContextId);
    this.#blocks.set(cityId, block);
    // A failed reservation must not be remembered: the callers hear of it, the next one tries again.
    block.catch(() => this.#blocks.get(cityId) === block && this.#blocks.delete(cityId));
    return block;
  }

  async #take(cityId: string, contextId: string): Promise<Block> {
    const [row] = await this.database.orm
      .insert(orderNumbers)
      .values({ cityId, contextId, lastNumber: BLOCK_SIZE })
      .onConflictDoUpdate({
        target: orderNumbers.cityId,
        set: { contextId, lastNumber: sql`${orderNumbers.lastNumber} + ${BLOCK_SIZE}` },
      })
      .returning({ last: orderNumbers.lastNumber });
    const last = row?.last ?? BLOCK_SIZE;
    return { next: last - BLOCK_SIZE + 1, last };
  }
}

interface Block {
  next: number;
  readonly last: number;
}

const BLOCK_SIZE = 32;
const DIGITS_MIN = 6;
