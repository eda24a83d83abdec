/** The way from a node to a port and back: it takes time, loses requests and replies, and the node may die on it. */
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { Clock } from "../../steps/ports.ts";
import type { FaultKind, Faults } from "./faults.ts";
import type { Life } from "./life.ts";

export interface Way {
  /** Which faults can happen on it. */
  readonly site: "store" | "participant";
  /** Whose way it is. */
  readonly node: string;
  /** The world's clock: a request travels on, whatever becomes of its node. */
  readonly clock: Clock;
  readonly faults: Faults;
  readonly life: Life;
  /** The node ends here: `before` it has asked, or after it did. */
  readonly onKill: () => void;
  readonly onPause: () => void;
}

/** What a node does all the time, whether there is a checkout or not: to end it there finds nothing out. */
const ROUTINE: ReadonlySet<string> = new Set(["claimRunnable", "owned", "unpublished", "heartbeat", "endOtherLeases"]);
/** Most calls take no time that matters; the others are apart enough for everything else to come between. */
const QUICK_SHARE = 0.6;
const LATENCY_MAX_MS = 40;
/** Longer than a step's time, and than a node's lease. */
const SLOW_MAX_MS = 45_000;

export function unreliable<Port extends object>(port: Port, way: Way): Port {
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(port, {
    get: (target, name) => {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      const call = (...args: unknown[]) => send(way, String(name), () => member.apply(target, args) as Promise<unknown>);
      methods.set(name, call);
      return call;
    },
  });
}

async function send(way: Way, name: string, perform: () => Promise<unknown>): Promise<unknown> {
  const { site, clock, faults, life } = way;
  const where = `(${way.node}, ${name})`;
  const strikes = (what: string) => faults.strikes(`${site}: ${what}` as FaultKind, where);
  await life.turn();
  const isFatal = !ROUTINE.has(name);
  if (isFatal && faults.strikes("node: paused", where)) way.onPause();
  if (isFatal && faults.strikes("node: killed before a call", where)) way.onKill();
  await life.turn();
  if (strikes("request lost")) {
    await travel(clock, faults);
    await life.turn();
    throw lost(name, "request");
  }
  if (site === "participant" && strikes("refuses")) throw new TerminalError("REFUSED", `${name} is refused.`);
  const isSlow = strikes("slow");
  if (isSlow) await pause(clock, faults.draw() * SLOW_MAX_MS);
  else await travel(clock, faults);
  const outcome = await perform().then(
    (value) => ({ isDone: true as const, value }),
    (error: unknown) => ({ isDone: false as const, error }),
  );
  if (isFatal && faults.strikes("node: killed after a call", where)) way.onKill();
  await travel(clock, faults);
  await life.turn();
  if (strikes("reply lost")) throw lost(name, "reply");
  if (!outcome.isDone) throw outcome.error;
  return outcome.value;
}

function lost(name: string, what: "request" | "reply"): TransientError {
  return new TransientError("UNAVAILABLE", `The ${what} of ${name} is lost.`);
}

async function travel(clock: Clock, faults: Faults): Promise<void> {
  const drawn = faults.draw();
  if (drawn >= QUICK_SHARE) await pause(clock, Math.ceil(((drawn - QUICK_SHARE) / (1 - QUICK_SHARE)) * LATENCY_MAX_MS));
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resume) => clock.after(ms, resume));
}
