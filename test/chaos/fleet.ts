/** The nodes of a run: real processes, each behind a proxy of its own, started again whenever one is gone. */
import type { Ending, ServiceProcess } from "../../scripts/service-process.ts";
import { spawnService } from "../../scripts/service-process.ts";
import type { Chance } from "../support/chance.ts";
import { openDatabaseProxy, type DatabaseProxy } from "./database-proxy.ts";
import type { Ground } from "./ground.ts";
import type { Tally } from "./tally.ts";

/** Of sysexits.h: what a node needs at its start is away. Its supervisor starts it again. */
const EX_UNAVAILABLE = 69;

export interface Node {
  readonly name: string;
  readonly process: ServiceProcess;
  readonly proxy: DatabaseProxy;
  /** Null: it doesn't serve yet. */
  url: string | null;
  /** Paused ones give no answer; those that were killed or told to leave are expected to end. */
  state: "running" | "paused" | "killed" | "leaving";
}

export class Fleet {
  /** Nodes that came to an end that nobody gave them, and what they said. */
  readonly troubles: string[] = [];
  readonly #nodes = new Set<Node>();
  readonly #starting = new Set<Promise<void>>();
  #started = 0;
  #isStopping = false;

  constructor(
    private readonly ground: Ground,
    private readonly entry: URL,
    private readonly tally: Tally,
    private readonly chance: Chance,
  ) {
    process.once("exit", this.#killAll);
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    const starting = this.#start();
    this.#starting.add(starting);
    await starting.finally(() => this.#starting.delete(starting));
  }

  /** Those that serve. */
  get serving(): readonly Node[] {
    return [...this.#nodes].filter(({ url, state }) => url !== null && state === "running");
  }

  /** One that serves, drawn; undefined when there is none just now. */
  any(): Node | undefined {
    const { serving } = this;
    return serving[Math.floor(this.chance() * serving.length)];
  }

  /** kill -9, and another in its place. Resolves when the process is gone. */
  async kill(node: Node): Promise<void> {
    // Before anything else: nobody chooses it any more.
    node.state = "killed";
    await this.tally.look(node);
    await node.process.kill("SIGKILL");
    this.#replace();
  }

  /** SIGSTOP, and another in its place, as whoever watches over nodes would start. */
  pause(node: Node): void {
    node.state = "paused";
    process.kill(node.process.pid, "SIGSTOP");
    this.#replace();
  }

  /** SIGCONT: it goes on beside the one that took its place. */
  resume(node: Node): void {
    process.kill(node.process.pid, "SIGCONT");
    node.state = "running";
  }

  /** SIGTERM, and nobody in its place. Resolves when it has drained. */
  async retire(node: Node): Promise<void> {
    node.state = "leaving";
    await this.tally.look(node);
    await node.process.kill("SIGTERM");
  }

  /** Drains all. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#nodes].map((node) => this.retire(node)));
  }

  /** At once, whatever state they are in. */
  async end(): Promise<void> {
    this.#isStopping = true;
    for (const node of this.#nodes) node.state = "killed";
    await Promise.all([...this.#nodes].map((node) => node.process.kill("SIGKILL")));
    process.off("exit", this.#killAll);
  }

  /** Nodes end with us by themselves, but not those that stand still. */
  readonly #killAll = (): void => {
    for (const node of this.#nodes) process.kill(node.process.pid, "SIGKILL");
  };

  #replace(): void {
    // Its failure is told where it ends.
    if (!this.#isStopping) this.start().catch(() => undefined);
  }

  async #start(): Promise<void> {
    const proxy = await openDatabaseProxy(this.ground.postgresPort);
    const process = spawnService({ entry: this.entry, env: this.ground.environment(proxy.port) });
    const node: Node = { name: `node ${++this.#started}`, process, proxy, url: null, state: "running" };
    this.#nodes.add(node);
    void process.ended.then((ending) => this.#ended(node, ending));
    node.url = await process.url();
  }

  #ended(node: Node, ending: Ending): void {
    this.#nodes.delete(node);
    node.proxy.close();
    if (node.state === "killed" || (node.state === "leaving" && ending.code === 0)) return;
    if (ending.code !== EX_UNAVAILABLE) {
      this.troubles.push(`${node.name} ended with ${ending.signal ?? ending.code}: ${ending.output.slice(-1_000)}`);
    }
    this.#replace();
  }
}
