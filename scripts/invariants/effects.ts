/** What the steps left with the participants: each effect once and standing, or none. */
import { breach, isCompleted, type Check } from "./breach.ts";
import type { Effect, Evidence } from "./evidence.ts";

type EffectCheck = Check<Pick<Evidence, "row" | "effects">>;

/** Of everything that the steps do, by operation: what it is after a confirmation. */
const CONFIRMED_EFFECTS: Readonly<Record<string, Effect["state"]>> = {
  createPaymentGroup: "CONFIRMED",
  createPostSellingPreferences: "LIVE",
  getLineItemSummary: "LIVE",
  createCheckoutOrder: "CONFIRMED",
  handleOptinCreationAndModification: "CONFIRMED",
  upsertLineItems: "CONFIRMED",
  hydratePaymentAndUpdateLineItems: "LIVE",
  createPreferencesToLineItemsMapping: "LIVE",
};

/**
 * Have no undo of their own: a locked group is released with the groups; further payment attempts are reversed with the
 * first one, which the provider's books show.
 */
const UNDONE_BY_OTHERS: ReadonlySet<string> = new Set(["lockPaymentGroups", "createPaymentAttempt"]);
/** Takes effect once for each further attempt, under a key of its own. */
const REPEATABLE = "createPaymentAttempt";

const standsOnce: EffectCheck = (evidence) => {
  if (!isCompleted(evidence)) return [];
  const { effects } = evidence;
  const undone = effects.filter(({ state }) => state === "UNDONE").map(({ operation }) => operation);
  const wrong = Object.entries(CONFIRMED_EFFECTS).flatMap(([operation, wanted]) => {
    const states = effects.filter((effect) => effect.operation === operation).map(({ state }) => state);
    return breach(states.join() !== wanted, `I10: ${operation} is ${states.join() || "missing"}, not ${wanted}`);
  });
  return [...wrong, ...breach(undone.length > 0, `I10: completed, and undone: ${undone.join()}`)];
};

const leavesNothing: EffectCheck = (evidence) => {
  if (isCompleted(evidence)) return [];
  const live = evidence.effects.filter(({ operation, state }) => state !== "UNDONE" && !UNDONE_BY_OTHERS.has(operation));
  return breach(live.length > 0, `I10: rolled back, and still there: ${live.map(({ operation }) => operation).join()}`);
};

const takesEffectOnce: EffectCheck = ({ effects }) => {
  const operations = effects.map(({ operation }) => operation).filter((operation) => operation !== REPEATABLE);
  const repeated = operations.filter((operation, index) => operations.indexOf(operation) !== index);
  return breach(repeated.length > 0, `I10: took effect under several keys: ${repeated.join()}`);
};

export const EFFECT_CHECKS: readonly EffectCheck[] = [standsOnce, leavesNothing, takesEffectOnce];
