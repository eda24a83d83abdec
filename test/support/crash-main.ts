/**
 * The service with its steps under a test's thumb. Each checkout waits before its first step until the
 * test has said, by an order on standard input, at which point it is to be held. When as many are held as
 * CRASH_WHEN_HELD says, the process kills itself in that very moment. No product code knows of this.
 */
import { createInterface } from "node:readline";
import pino from "pino";
import { createActor, fromPromise, toPromise, type PromiseActorLogic } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import { TerminalError } from "../../machines/errors.ts";
import { loadConfig } from "../../server/config.ts";
import { serve } from "../../server/serve.ts";

export interface HoldOrder {
  readonly executionContextId: string;
  /** An actor of the machine; `handleRollback:<undo>` for an undo. */
  readonly point: string;
  /** Before its effect; or after it, before the commit that would remember it. */
  readonly phase: "before" | "after";
  /** The actor that fails for good, so that the checkout rolls back. */
  readonly failAt?: string;
}

/** What every actor's input has. */
interface StepInput {
  readonly executionContextId: string;
  readonly undo?: string;
}

type Logic = PromiseActorLogic<unknown, StepInput>;

const orders = new Map<string, HoldOrder>();
const waiting = new Map<string, (order: HoldOrder) => void>();
let held = 0;

createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line) as HoldOrder;
  orders.set(order.executionContextId, order);
  waiting.get(order.executionContextId)?.(order);
});

// The orchestrator asks the machine for its actors through this one method.
const provide = checkoutMachine.provide.bind(checkoutMachine);
checkoutMachine.provide = (implementations) => {
  const actors = Object.entries(implementations.actors ?? {}).map(([name, logic]) => [name, heldAt(name, logic as Logic)]);
  return provide({ actors: Object.fromEntries(actors) as NonNullable<typeof implementations.actors> });
};

function heldAt(name: string, logic: Logic): Logic {
  return fromPromise(async ({ input }: { readonly input: StepInput }) => {
    const point = input.undo === undefined ? name : `${name}:${input.undo}`;
    const order = await orderOf(input.executionContextId);
    if (order.failAt === point) throw new TerminalError("REFUSED_BY_TEST", "This step fails because a test wants it to.");
    const isHere = order.point === point;
    if (isHere && order.phase === "before") await hold(point);
    const output = await toPromise(createActor(logic, { input }).start());
    if (isHere) await hold(point);
    return output;
  });
}

function orderOf(id: string): Promise<HoldOrder> {
  const order = orders.get(id);
  return order === undefined ? new Promise((resolve) => waiting.set(id, resolve)) : Promise.resolve(order);
}

function hold(point: string): Promise<never> {
  held++;
  process.stdout.write(`held ${held}: ${point}\n`);
  if (held === Number(process.env["CRASH_WHEN_HELD"])) process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
}

const { url } = await serve(loadConfig(process.env), pino({ level: "warn" }));
process.stdout.write(`checkoutd  ${url}\n`);
