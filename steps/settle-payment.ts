import type { Execute, StepDeps } from "./step.ts";

/** Another attempt on the same payment collection requirement. */
export function createPaymentAttempt({ services, requests }: StepDeps): Execute<"createPaymentAttempt"> {
  return async (call, signal) => {
    const { user, payment } = await requests.load(call.executionContextId);
    const returnUrl = payment.returnUrl === undefined ? {} : { returnUrl: payment.returnUrl };
    return services.payments.createPaymentAttempt({ ...call, ...returnUrl, signal, payerId: user.userId });
  };
}

export function getPaymentStatus({ services }: StepDeps): Execute<"getPaymentStatus"> {
  return (query) => services.payments.getPaymentStatus(query);
}

/** At the deadline the provider is asked, never guessed about. */
export function cancelIfPending({ services }: StepDeps): Execute<"cancelIfPending"> {
  return (call, signal) => services.payments.cancelIfPending({ ...call, signal });
}

/** Step 9a, after the pivot: each call is idempotent by the same key, so the whole is repeated until it is done. */
export function executePCRSuccessSteps({ services }: StepDeps): Execute<"executePCRSuccessSteps"> {
  return async (call, signal) => {
    const settlement = await services.payments.recordSettlement({ ...call, signal });
    await services.lineItems.settleLineItems({ ...call, signal });
    await services.paymentGroups.settlePaymentGroups({ ...call, signal });
    await services.optIns.activateOptIns({ ...call, signal });
    await services.orders.confirmCheckoutOrder({ ...call, signal });
    await services.lineItems.confirmLineItems({ ...call, signal });
    return settlement;
  };
}

export function refundCapture({ services }: StepDeps): Execute<"refundCapture"> {
  return (call, signal) => services.payments.refundCapture({ ...call, signal });
}
