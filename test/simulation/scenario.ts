/** What is tried in a run, drawn from its seed: nodes, shoppers with what they want, and what goes wrong. */
import { seededChance, type Chance } from "../support/chance.ts";
import { drawRates, FAULT_KINDS, type FaultRates } from "./faults.ts";
import { INSTRUMENTS, type Instrument } from "./provider.ts";

export interface Scenario {
  readonly nodes: number;
  readonly shoppers: readonly ShopperPlan[];
  readonly rates: FaultRates;
  /** Somebody looks after what needs attention, so long after it does. Null: nobody. */
  readonly operatorAfterMs: number | null;
  /** When faults end; then everything has to come to rest. */
  readonly faultsEndMs: number;
}

export interface ShopperPlan {
  readonly name: string;
  readonly startMs: number;
  readonly userId: string;
  readonly cartId: string;
  readonly cartVersion: number;
  readonly idempotencyKey: string;
  readonly instrument: Instrument;
  /** How many of the two line items, each of another seller, are paid later; with both there is nothing to pay. */
  readonly paidLater: number;
  /** Sends the same request so often at once, and each of them again until it is answered. */
  readonly copies: number;
  readonly next: NextWish | null;
}

/** What a shopper does a while after the answer. */
export interface NextWish {
  readonly kind: "cancel" | "attempt";
  /** While the checkout is still on its way; otherwise after the answer. */
  readonly isImpatient: boolean;
  readonly afterMs: number;
  readonly instrument: Instrument;
}

const NODES_MAX = 3;
const SHOPPERS_MAX = 4;
const START_MAX_MS = 8_000;
const WISH_MAX_MS = 25_000;
const OPERATOR_MAX_MS = 5_000;
const IMPATIENT_MAX_MS = 1_500;
const FAULTS_END_MIN_MS = 15_000;
const FAULTS_END_MAX_MS = 60_000;

export function drawScenario(seed: number): Scenario {
  const chance = streamOf(seed, "scenario");
  const count = 1 + whole(chance, SHOPPERS_MAX);
  return {
    nodes: 1 + whole(chance, NODES_MAX),
    shoppers: Array.from({ length: count }, (_, place) => drawShopper(chance, place + 1, count)),
    rates: drawRates(chance),
    operatorAfterMs: chance() < 0.5 ? null : Math.floor(chance() * OPERATOR_MAX_MS),
    faultsEndMs: FAULTS_END_MIN_MS + chance() * (FAULTS_END_MAX_MS - FAULTS_END_MIN_MS),
  };
}

/** In words, a line each, for the story of a run. */
export function describe({ nodes, shoppers, rates, operatorAfterMs }: Scenario): readonly string[] {
  const kinds = FAULT_KINDS.filter((kind) => rates[kind] > 0);
  return [
    `nodes: ${nodes}; what may go wrong: ${kinds.join(", ") || "nothing"}`,
    ...(operatorAfterMs === null ? [] : [`an operator looks after what needs attention, ${operatorAfterMs} ms later`]),
    ...shoppers.map(({ name, cartId, cartVersion, instrument, paidLater, copies, next }) => {
      const wish =
        next === null ? "" : `; then ${next.kind === "cancel" ? "cancels" : `pays again, and that ${next.instrument}`}`;
      const later = paidLater === 0 ? "" : `, ${paidLater} of 2 items paid later`;
      return `${name}: ${cartId} version ${cartVersion}${later}${copies > 1 ? ", sent twice" : ""}; the payment ${instrument}${wish}`;
    }),
  ];
}

/** Each concern draws from a stream of its own, so that leaving something out of one changes no other. */
export function streamOf(seed: number, name: string): Chance {
  let mixed = seed;
  for (const character of name) mixed = (Math.imul(mixed, 31) + (character.codePointAt(0) ?? 0)) | 0;
  return seededChance(mixed);
}

function drawShopper(chance: Chance, place: number, count: number): ShopperPlan {
  // Now and then two shoppers have one cart, or two requests one key.
  const cart = 1 + whole(chance, count);
  const next = chance();
  const isImpatient = chance() < 0.3;
  return {
    name: `shopper ${place}`,
    startMs: Math.floor(chance() * START_MAX_MS),
    userId: `usr_${cart}`,
    cartId: `cart_${cart}`,
    cartVersion: 1 + whole(chance, 2),
    idempotencyKey: `key_${place}`,
    instrument: pick(chance, INSTRUMENTS),
    paidLater: pick(chance, [0, 0, 0, 0, 0, 0, 1, 1, 2]),
    copies: chance() < 0.25 ? 2 : 1,
    next:
      next < 0.5
        ? null
        : {
            kind: next < 0.75 ? "cancel" : "attempt",
            isImpatient,
            afterMs: Math.floor(chance() * (isImpatient ? IMPATIENT_MAX_MS : WISH_MAX_MS)),
            instrument: pick(chance, INSTRUMENTS),
          },
  };
}

/** 0 to `below` - 1. */
function whole(chance: Chance, below: number): number {
  return Math.floor(chance() * below);
}

function pick<Item>(chance: Chance, items: readonly Item[]): Item {
  const item = items[whole(chance, items.length)];
  if (item === undefined) throw new Error("There is something to pick from.");
  return item;
}
