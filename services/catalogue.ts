/**
 * What is sold, where, by whom and at which price; also slots, plans, coupons and blocked users.
 * The catalogue is data: parsed once, checked as a whole, held in memory, never changed while running.
 */
import { z } from "zod";
import { OPT_IN_TYPES, PREFERENCE_TYPES } from "../steps/request.ts";
import { BASIS_POINTS, isCurrency } from "./money.ts";

/** Together with the limit of line items, these keep every sum within 2^53. */
const PRICE_MAX = 1_000_000_000;
const QUANTITY_MAX = 10_000;

const id = z.string().min(1).max(64);
const price = z.int().min(0).max(PRICE_MAX);
const basisPoints = z.int().min(0).max(BASIS_POINTS);
const currency = z.string().refine(isCurrency, "is no ISO 4217 currency");
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "is no time of day like 09:00");
const timeZone = z.string().refine(isTimeZone, "is no IANA time zone");

const city = z.strictObject({ cityId: id, timeZone });

const sku = z.strictObject({
  sku: id,
  title: z.string(),
  sellerId: id,
  unitPrice: price,
  currency,
  /** Included in the price. */
  taxBasisPoints: basisPoints,
  cities: z.array(id).min(1),
  /** Per checkout, over all lines of this SKU. */
  quantityMin: z.int().min(1).default(1),
  quantityMax: z.int().min(1).max(QUANTITY_MAX),
  preferences: z.array(z.enum(PREFERENCE_TYPES)),
  /** Once per line, whatever the quantity. */
  fees: z.array(z.strictObject({ cityId: id, amount: price })).default([]),
});

const slot = z.strictObject({
  slotId: id,
  startsAt: timeOfDay,
  cities: z.array(id).min(1),
  /** Per day. */
  capacity: z.int().min(1),
});

const plan = z.strictObject({
  planId: id,
  type: z.enum(OPT_IN_TYPES),
  price,
  /** What changing an opt-in over to this plan costs. */
  modifyPrice: price,
  currency,
  taxBasisPoints: basisPoints,
});

const coupon = z.strictObject({
  code: id,
  discount: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("AMOUNT"), amount: price, currency }),
    z.strictObject({ kind: z.literal("PERCENT"), basisPoints }),
  ]),
  /** The goods must cost at least this, before discounts. */
  minimum: price.default(0),
  /** Absent: every SKU. */
  skus: z.array(id).optional(),
  /** Over all checkouts; absent: without limit. */
  useLimit: z.int().min(1).optional(),
  expiresAt: z.iso.datetime().optional(),
});

const catalogueSchema = z.strictObject({
  cities: z.array(city),
  skus: z.array(sku),
  slots: z.array(slot),
  plans: z.array(plan),
  coupons: z.array(coupon),
  /** Users who may not buy. Everybody else is active. */
  blockedUsers: z.array(id),
});

export type CatalogueData = z.input<typeof catalogueSchema>;
export type City = z.output<typeof city>;
export type Sku = z.output<typeof sku>;
export type Slot = z.output<typeof slot>;
export type Plan = z.output<typeof plan>;
export type Coupon = z.output<typeof coupon>;

/** Look-ups by exact id; undefined for what is not known. */
export interface Catalogue {
  city(cityId: string): City | undefined;
  sku(sku: string): Sku | undefined;
  slot(slotId: string): Slot | undefined;
  plan(planId: string): Plan | undefined;
  coupon(code: string): Coupon | undefined;
  isActiveUser(userId: string): boolean;
}

/** Throws an Error that lists every mistake in `data`. */
export function createCatalogue(data: unknown): Catalogue {
  const parsed = catalogueSchema.safeParse(data);
  if (!parsed.success) throw new Error(`The catalogue is not valid:\n${z.prettifyError(parsed.error)}`);
  const cities = byId(parsed.data.cities, (entry) => entry.cityId);
  const skus = byId(parsed.data.skus, (entry) => entry.sku);
  const slots = byId(parsed.data.slots, (entry) => entry.slotId);
  const plans = byId(parsed.data.plans, (entry) => entry.planId);
  const coupons = byId(parsed.data.coupons, (entry) => entry.code);
  const blocked = new Set(parsed.data.blockedUsers);
  const dangling = [
    ...parsed.data.skus
      .flatMap((entry) => [...entry.cities, ...entry.fees.map((fee) => fee.cityId)])
      .filter((cityId) => !cities.has(cityId)),
    ...parsed.data.slots.flatMap((entry) => entry.cities).filter((cityId) => !cities.has(cityId)),
    ...parsed.data.coupons.flatMap((entry) => entry.skus ?? []).filter((name) => !skus.has(name)),
  ];
  if (dangling.length > 0) throw new Error(`The catalogue refers to what it does not define: ${dangling.join(", ")}.`);
  return {
    city: (cityId) => cities.get(cityId),
    sku: (name) => skus.get(name),
    slot: (slotId) => slots.get(slotId),
    plan: (planId) => plans.get(planId),
    coupon: (code) => coupons.get(code),
    isActiveUser: (userId) => !blocked.has(userId),
  };
}

function byId<Entry>(entries: readonly Entry[], key: (entry: Entry) => string): Map<string, Entry> {
  const map = new Map<string, Entry>();
  for (const entry of entries) {
    if (map.has(key(entry))) throw new Error(`The catalogue defines ${key(entry)} twice.`);
    map.set(key(entry), entry);
  }
  return map;
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    // Intl has no other way to ask.
    return false;
  }
}
