/** Which slot a preference asks for, and whether it lies in the past where it takes place. */
import type { RequestedPreference } from "../steps/request.ts";
import type { City, Slot } from "./catalogue.ts";

export interface SlotChoice {
  readonly slotId: string;
  /** YYYY-MM-DD in the city's own time. */
  readonly date: string;
}

/** Null unless the payload names a slot and a day that the calendar has. */
export function slotChoiceOf(preference: RequestedPreference): SlotChoice | null {
  const { slotId, date } = preference.payload;
  if (typeof slotId !== "string" || typeof date !== "string" || !isCalendarDay(date)) return null;
  return { slotId, date };
}

export function isCalendarDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  // Date.parse turns 30 February into 2 March; the way back shows it.
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

export function hasStarted(slot: Slot, date: string, city: City, now: number): boolean {
  return `${date} ${slot.startsAt}` <= localTime(now, city.timeZone);
}

/** `YYYY-MM-DD HH:MM` there. Swedish writes it so. */
function localTime(now: number, timeZone: string): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
    formats.set(timeZone, format);
  }
  return format.format(now);
}

/** Building a format takes longer than the rest of the check. Bounded by the catalogue's time zones. */
const formats = new Map<string, Intl.DateTimeFormat>();
