import { type CheckoutRequest, PREFERENCE_TYPES, type RequestedPreference } from "../steps/request.ts";
import type { Catalogue, Slot } from "./catalogue.ts";
import type { KnownItem } from "./line-item-rules.ts";
import { hasStarted, isCalendarDay } from "./slots.ts";
import { quoted, type Report, reportDuplicates } from "./violations.ts";

const PREFERENCES_MAX = 100;

/** A place that this request wants, valid in itself; whether it is still free, the database knows. */
export interface WantedPlace {
  readonly pointer: string;
  readonly slot: Slot;
  readonly date: string;
}

export interface PreferenceScope {
  readonly catalogue: Catalogue;
  readonly known: readonly KnownItem[];
  readonly now: number;
}

export function checkPreferences(request: CheckoutRequest, scope: PreferenceScope, report: Report): readonly WantedPlace[] {
  const preferences = request.preferences ?? [];
  if (preferences.length > PREFERENCES_MAX) {
    report("/preferences", "PREFERENCES_TOO_MANY", `A checkout takes at most ${PREFERENCES_MAX} preferences. Leave some out.`);
    return [];
  }
  reportDuplicates(
    preferences.map((preference) => preference.ref),
    (index) => `/preferences/${index}/ref`,
    report,
  );
  const refs = new Set(request.lineItems.map((item) => item.ref));
  return preferences.flatMap((preference, index) => {
    const pointer = `/preferences/${index}`;
    const isTypeKnown = PREFERENCE_TYPES.includes(preference.type);
    if (!isTypeKnown) {
      report(
        `${pointer}/type`,
        "PREFERENCE_TYPE_UNKNOWN",
        `${quoted(preference.type)} is no preference. Use one of ${PREFERENCE_TYPES.join(", ")}.`,
      );
    }
    checkLineItemRefs(preference, pointer, refs, report);
    if (isTypeKnown) checkOffered(preference, pointer, scope.known, report);
    return preference.type === "DELIVERY_SLOT" ? checkSlot(preference, pointer, request.user.cityId, scope, report) : [];
  });
}

function checkLineItemRefs(preference: RequestedPreference, pointer: string, refs: ReadonlySet<string>, report: Report): void {
  if (preference.lineItemRefs.length === 0) {
    report(`${pointer}/lineItemRefs`, "LINE_ITEM_REFS_MISSING", "A preference is about at least one line item. Name it.");
  }
  const seen = new Set<string>();
  for (const [index, ref] of preference.lineItemRefs.entries()) {
    if (!refs.has(ref)) {
      report(
        `${pointer}/lineItemRefs/${index}`,
        "LINE_ITEM_REF_UNKNOWN",
        `No line item has the reference ${quoted(ref)}. Correct it.`,
      );
    } else if (seen.has(ref)) {
      report(`${pointer}/lineItemRefs/${index}`, "REF_NOT_UNIQUE", `The line item ${quoted(ref)} is named twice. Name it once.`);
    }
    seen.add(ref);
  }
}

function checkOffered(preference: RequestedPreference, pointer: string, known: readonly KnownItem[], report: Report): void {
  for (const [index, ref] of preference.lineItemRefs.entries()) {
    const entry = known.find(({ item }) => item.ref === ref);
    if (entry === undefined || entry.sku.preferences.includes(preference.type)) continue;
    const offered = entry.sku.preferences.join(", ");
    report(
      `${pointer}/lineItemRefs/${index}`,
      "PREFERENCE_NOT_OFFERED",
      `${entry.sku.sku} offers ${offered}, not ${preference.type}. Remove it here.`,
    );
  }
}

function checkSlot(
  preference: RequestedPreference,
  pointer: string,
  cityId: string,
  { catalogue, now }: PreferenceScope,
  report: Report,
): WantedPlace[] {
  const { slotId, date } = isRecord(preference.payload) ? preference.payload : {};
  const slot = typeof slotId === "string" ? catalogue.slot(slotId) : undefined;
  const isDay = typeof date === "string" && isCalendarDay(date);
  if (slot === undefined)
    report(`${pointer}/payload/slotId`, "SLOT_UNKNOWN", `There is no slot ${quoted(slotId)}. Choose one that exists.`);
  if (!isDay) report(`${pointer}/payload/date`, "SLOT_DATE_INVALID", "The date is a calendar day like 2027-01-09. Correct it.");
  const city = catalogue.city(cityId);
  if (slot === undefined || !isDay || city === undefined) return [];
  if (!slot.cities.includes(cityId)) {
    report(
      `${pointer}/payload/slotId`,
      "SLOT_NOT_IN_CITY",
      `The slot ${slot.slotId} is not offered in ${cityId}. Choose another.`,
    );
    return [];
  }
  if (hasStarted(slot, date, city, now)) {
    report(
      `${pointer}/payload/date`,
      "SLOT_IN_THE_PAST",
      `The slot ${slot.slotId} on ${date} has begun already. Choose a later one.`,
    );
    return [];
  }
  return [{ pointer: `${pointer}/payload/slotId`, slot, date }];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
