/** The service that the demo talks to: its settings, its process, and what it leaves on the disk. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { spawnService, type Ending, type ServiceProcess } from "../service-process.ts";
import { say } from "../output.ts";

/** Embedded database; DATABASE_URL and REDIS_URL are honoured. */
export class DemoService {
  /** What the payment provider outside signs its events with. */
  readonly webhookSecret = `whsec_${randomBytes(32).toString("base64")}`;
  readonly #databaseUrl = process.env["DATABASE_URL"] || null;
  readonly #redisUrl = process.env["REDIS_URL"] || null;
  readonly #directory = mkdtempSync(join(tmpdir(), "checkoutd-demo-"));
  #process: ServiceProcess | undefined;
  #url = "";

  /** Where it serves now; another address after each start. */
  get url(): string {
    return this.#url;
  }

  /** What it knows outlives its process on a database of its own, and so does its lease. */
  get isOnPostgres(): boolean {
    return this.#databaseUrl !== null;
  }

  get settings(): string {
    const database = this.isOnPostgres ? "Postgres" : `embedded database in ${this.#directory}`;
    return `${database}${this.#redisUrl === null ? "" : ", locks in Redis"}`;
  }

  async start(): Promise<void> {
    const database = this.#databaseUrl === null ? { DATA_DIR: this.#dataDirectory } : { DATABASE_URL: this.#databaseUrl };
    const locks = this.#redisUrl === null ? {} : { REDIS_URL: this.#redisUrl };
    this.#process = spawnService({ env: { ...database, ...locks, PAYMENT_WEBHOOK_SECRET: this.webhookSecret } });
    this.#url = await this.#process.url();
    say(`  process ${this.#process.pid} serves ${this.#url}`);
  }

  /** Resolves when the process is gone. */
  async kill(signal: NodeJS.Signals): Promise<Ending & { readonly pid: number }> {
    if (this.#process === undefined) throw new Error("The service was never started.");
    return { ...(await this.#process.kill(signal)), pid: this.#process.pid };
  }

  /** For reading what it stored; the embedded database only once its process is gone. */
  async openDatabase(): Promise<Database> {
    return this.#databaseUrl === null ? openEmbedded(this.#dataDirectory) : connectPostgres(this.#databaseUrl);
  }

  /** Whatever way the demo ends, no process and no file stays behind. Safe twice. */
  discard(): void {
    try {
      if (this.#process !== undefined) process.kill(this.#process.pid, "SIGKILL");
    } catch {
      // It is gone already.
    }
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  get #dataDirectory(): string {
    return join(this.#directory, "data");
  }
}
