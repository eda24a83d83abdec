/** A provider's events as they may look, each of its type. */
import type { z } from "@hono/zod-openapi";
import type { paymentEventSchema } from "./payment-event-schema.ts";

type PaymentEvent = z.input<typeof paymentEventSchema>;

const timestamp = "2027-01-08T10:05:01Z";
const notice = {
  pcrId: "pcr_1",
  attemptId: "att_1",
  pspReference: "psr_1",
  amount: 249900,
  currency: "INR",
  occurredAt: "2027-01-08T10:05:00Z",
};

export const PAYMENT_EVENT_EXAMPLES: { readonly [Type in PaymentEvent["type"]]: PaymentEvent & { readonly type: Type } } = {
  payment_collection_requirement_success: {
    type: "payment_collection_requirement_success",
    timestamp,
    data: { eventId: "evt_1", ...notice },
  },
  payment_collection_requirement_failed: {
    type: "payment_collection_requirement_failed",
    timestamp,
    data: { eventId: "evt_2", ...notice, code: "INSUFFICIENT_FUNDS" },
  },
  payment_collection_requirement_expired: {
    type: "payment_collection_requirement_expired",
    timestamp,
    data: { eventId: "evt_3", ...notice },
  },
  payment_refund_failed: {
    type: "payment_refund_failed",
    timestamp,
    data: { eventId: "evt_4", ...notice, code: "ACCOUNT_CLOSED", providerRefundId: "re_1" },
  },
};
