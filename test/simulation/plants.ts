/** Every planted bug, by theme. */
import { COMMIT_BUGS } from "./plants/commits.ts";
import { EFFECT_BUGS } from "./plants/effects.ts";
import { MESSAGE_BUGS } from "./plants/messages.ts";
import { PAYMENT_BUGS } from "./plants/payments.ts";
import type { PlantedBug } from "./plants/planted-bug.ts";
import { UNDOING_BUGS } from "./plants/undoing.ts";
import { WAKING_BUGS } from "./plants/waking.ts";

export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...COMMIT_BUGS,
  ...WAKING_BUGS,
  ...MESSAGE_BUGS,
  ...EFFECT_BUGS,
  ...UNDOING_BUGS,
  ...PAYMENT_BUGS,
];
