import { type CheckoutRequest, OPT_IN_ACTIONS, OPT_IN_TYPES, type RequestedOptIn } from "../steps/request.ts";
import type { Catalogue } from "./catalogue.ts";
import type { KnownItem } from "./line-item-rules.ts";
import { optInPrice } from "./pricing.ts";
import { quoted, type Report, reportDuplicates } from "./violations.ts";

const OPT_INS_MAX = 20;

/** An opt-in that changes one which the user must have; whether there is one, the database knows. */
export interface WantedChange {
  readonly pointer: string;
  readonly optIn: RequestedOptIn;
}

export function checkOptIns(
  request: CheckoutRequest,
  catalogue: Catalogue,
  known: readonly KnownItem[],
  report: Report,
): readonly WantedChange[] {
  const optIns = request.optIns ?? [];
  if (optIns.length > OPT_INS_MAX) {
    report("/optIns", "OPT_INS_TOO_MANY", `A checkout takes at most ${OPT_INS_MAX} opt-ins. Leave some out.`);
    return [];
  }
  reportDuplicates(
    optIns.map((optIn) => optIn.ref),
    (index) => `/optIns/${index}/ref`,
    report,
    // An invoice line is named by its reference, whether it is a line item or an opt-in.
    new Set(request.lineItems.map((item) => item.ref)),
  );
  const hasPaymentNow = request.lineItems.some((item) => item.paymentTiming === "NOW");
  const changed = new Set<string>();
  return optIns.flatMap((optIn, index) => {
    const pointer = `/optIns/${index}`;
    if (!checkWords(optIn, pointer, report)) return [];
    checkPlan(optIn, pointer, catalogue, known[0]?.sku.currency, hasPaymentNow, report);
    if (optIn.action === "CREATE") return [];
    if (changed.has(optIn.type)) {
      report(
        `${pointer}/action`,
        "OPT_IN_CHANGED_TWICE",
        `A checkout changes the ${optIn.type} once. Keep one of these opt-ins.`,
      );
    }
    changed.add(optIn.type);
    return [{ pointer: `${pointer}/action`, optIn }];
  });
}

function checkWords(optIn: RequestedOptIn, pointer: string, report: Report): boolean {
  const isTypeKnown = OPT_IN_TYPES.includes(optIn.type);
  const isActionKnown = OPT_IN_ACTIONS.includes(optIn.action);
  if (!isTypeKnown) {
    report(
      `${pointer}/type`,
      "OPT_IN_TYPE_UNKNOWN",
      `${quoted(optIn.type)} is no opt-in. Use one of ${OPT_IN_TYPES.join(", ")}.`,
    );
  }
  if (!isActionKnown) {
    report(
      `${pointer}/action`,
      "OPT_IN_ACTION_UNKNOWN",
      `${quoted(optIn.action)} is no action. Use one of ${OPT_IN_ACTIONS.join(", ")}.`,
    );
  }
  return isTypeKnown && isActionKnown;
}

function checkPlan(
  optIn: RequestedOptIn,
  pointer: string,
  catalogue: Catalogue,
  currency: string | undefined,
  hasPaymentNow: boolean,
  report: Report,
): void {
  const plan = catalogue.plan(optIn.planId);
  if (plan === undefined) {
    report(`${pointer}/planId`, "PLAN_UNKNOWN", `There is no plan ${quoted(optIn.planId)}. Choose one that exists.`);
    return;
  }
  if (plan.type !== optIn.type) {
    report(
      `${pointer}/planId`,
      "PLAN_OF_OTHER_TYPE",
      `${plan.planId} is a ${plan.type}, not a ${optIn.type}. Correct the type or the plan.`,
    );
  }
  if (currency !== undefined && plan.currency !== currency) {
    report(
      `${pointer}/planId`,
      "CURRENCY_MIXED",
      `${plan.planId} is sold in ${plan.currency}, the cart is in ${currency}. Choose another plan.`,
    );
  }
  if (!hasPaymentNow && optInPrice(optIn, plan) > 0) {
    report(
      `${pointer}/planId`,
      "OPT_IN_NEEDS_PAYMENT_NOW",
      `${plan.planId} is paid now, but every line item is paid later. Remove it.`,
    );
  }
}
