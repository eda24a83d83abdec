/** What can happen to a node while it takes an event, and where it is then between what it does and what it knows of it. */
import type { Place } from "./places.ts";

export type Boundary = "before commit" | "after commit" | "before publish" | "after publish";

export const INTERRUPTIONS = [
  "dies before the commit",
  "dies after the commit",
  "dies after the effect",
  "dies before publishing",
  "dies after publishing",
  "is overtaken before the commit",
  "is overtaken, and wakes first",
  "is overtaken before publishing",
  "hears a stale outcome",
] as const;
export type Interruption = (typeof INTERRUPTIONS)[number];

export const BOUNDARIES: Readonly<Record<Interruption, Boundary | null>> = {
  "dies before the commit": "before commit",
  "dies after the commit": "after commit",
  // Told by the walk: the step has acted, and nobody is told how it ended.
  "dies after the effect": null,
  "dies before publishing": "before publish",
  "dies after publishing": "after publish",
  "is overtaken before the commit": "before commit",
  // Before its successor has heard how the step ended: both could commit the same entry.
  "is overtaken, and wakes first": "before commit",
  "is overtaken before publishing": "before publish",
  "hears a stale outcome": "before commit",
};

/** Whether there is anything to interrupt on the way from `place` to `next`. */
export function canHappen(interruption: Interruption, place: Place, next: Place): boolean {
  switch (interruption) {
    case "dies before the commit":
    case "dies after the commit":
    case "is overtaken before the commit":
      return true;
    case "is overtaken, and wakes first":
    case "dies after the effect":
      return isOutcome(next.entry.event);
    case "dies before publishing":
    case "dies after publishing":
    case "is overtaken before publishing":
      return next.emitted.length > 0;
    case "hears a stale outcome":
      return place.step !== null && place.step !== next.step && !isOutcome(next.entry.event);
  }
}

export function isOutcome({ type }: { readonly type: string }): boolean {
  return type.startsWith("xstate.done.actor.") || type.startsWith("xstate.error.actor.");
}

export function isTimer({ type }: { readonly type: string }): boolean {
  return type.startsWith("xstate.after.");
}
