/** The way from a node to a port and back: it takes time, loses requests and replies, and the node may die on it. */
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { Clock } from "../../steps/ports.ts";
import type { FaultKind, Faults } from "./faults.ts";
import type { Life } from "./life.ts";
import type { Traffic } from "./traffic.ts";

export interface Way {
  /** Which faults can happen on it. */
  readonly site: "store" | "participant";
  /** Who is asked. */
  readonly port: string;
  readonly traffic: Traffic;
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

/** A connection that fell, a call that was given up, a server that stops. */
const FOREIGN_CODES = [{ code: "ECONNRESET" }, { name: "AbortError" }, { code: "57P01" }];
/** What a node does all the time, whether there is a checkout or not: to end it there finds nothing out. */
const ROUTINE: ReadonlySet<string> = new Set(["claimRunnable", "owned", "unpublished", "heartbeat", "endOtherLeases"]);
/** Most calls take no time that matters; the others are apart enough for everything else to come between. */
const QUICK_SHARE = 0.6;
const LATENCY_MAX_MS = 40;
/** Longer than a step's time, and than a node's lease. */
const SLOW_MAX_MS = 45_000;
/** Longer than a step is tried. */
const OUTAGE_MAX_MS = 90_000;

export function unreliable<Port extends object>(port: Port, way: Way): Port {
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(port, {
    get: (target, name) => {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      const call = async (...args: unknown[]) => {
        const journey = way.traffic.begin(args, way.life);
        const perform = async () => member.apply(target, args) as unknown;
        const arrive = () => {
          journey.hasLeft = true;
          return perform().finally(() => way.traffic.end(journey));
        };
        // Refused or lost on its way, it never arrives.
        return send(way, String(name), arrive).finally(() => way.traffic.end(journey));
      };
      methods.set(name, call);
      return call;
    },
  });
}

async function send(way: Way, name: string, perform: () => Promise<unknown>): Promise<unknown> {
  const { site, port, clock, faults, life, traffic } = way;
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
    throw lost(name, "request", faults);
  }
  if (site === "participant" && strikes("down")) traffic.takeDown(port, clock.now() + faults.draw() * OUTAGE_MAX_MS);
  if (traffic.isDown(port, clock.now())) throw lost(name, "request", faults);
  if (site === "participant" && strikes("refuses")) throw new TerminalError("REFUSED", `${name} is refused.`);
  const isSlow = strikes("slow");
  if (isSlow) await pause(clock, faults.draw() * SLOW_MAX_MS);
  else await travel(clock, faults);
  const outcome = await perform().then(
    (value) => ({ isDone: true as const, value }),
    (error: unknown) => ({ isDone: false as const, error }),
  );
  if (isFatal && faults.strikes("node: killed after a call", where)) way.onKill();
  if (site === "participant" && strikes("never answers")) return new Promise<never>(() => {});
  await travel(clock, faults);
  await life.turn();
  if (strikes("reply lost")) throw lost(name, "reply", faults);
  if (!outcome.isDone) throw outcome.error;
  return outcome.value;
}

/** As ports say it, or as drivers and fetch do. */
function lost(name: string, what: "request" | "reply", faults: Faults): Error {
  const message = `The ${what} of ${name} is lost.`;
  const codes = FOREIGN_CODES[Math.floor(faults.draw() * 2 * FOREIGN_CODES.length)];
  if (codes === undefined) return new TransientError("UNAVAILABLE", message);
  return Object.assign(new Error(message), codes);
}

async function travel(clock: Clock, faults: Faults): Promise<void> {
  const drawn = faults.draw();
  if (drawn >= QUICK_SHARE) await pause(clock, Math.ceil(((drawn - QUICK_SHARE) / (1 - QUICK_SHARE)) * LATENCY_MAX_MS));
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resume) => clock.after(ms, resume));
}
