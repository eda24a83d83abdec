/** The bodies of what a client may ask of a checkout that exists. Strict, as initiate's. */
import { z } from "@hono/zod-openapi";
import { UNDO_ORDER } from "../machines/context.ts";
import { foreignId, noCardNumber, paymentChoice } from "./field-schemas.ts";

export const cancelBodySchema = z.strictObject({}).openapi("CancelRequest");

export const attemptBodySchema = z.strictObject(paymentChoice).openapi("PaymentAttemptRequest");

const EXACTLY_ONE = { message: "Name either `undo` or `pspReference`, exactly one of them.", params: { code: "EXACTLY_ONE" } };

export const resolveBodySchema = z
  .strictObject({
    undo: z.enum(UNDO_ORDER).optional().openapi({ description: "The undo that was done by hand" }),
    pspReference: foreignId.optional().openapi({ description: "The capture that was given back by hand" }),
    reference: z
      .string()
      .regex(
        /^[A-Za-z0-9._#/-]{1,80}$/,
        "Must be where it is written down, e.g. a ticket's number: 1 to 80 of A-Z a-z 0-9 . _ # / -",
      )
      .refine(...noCardNumber)
      .openapi({ description: "Where it is written down, e.g. a ticket's number" }),
  })
  .refine(({ undo, pspReference }) => (undo === undefined) !== (pspReference === undefined), EXACTLY_ONE)
  .openapi("ResolveRequest");
