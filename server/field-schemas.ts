/** Fields that several requests have in common. */
import { z } from "@hono/zod-openapi";
import { hasCardNumber } from "./card-number.ts";

const CARD_NUMBER = { message: "Must not be a card number. Send the instrument's token.", params: { code: "CARD_NUMBER" } };

/** For texts of people's own wording: none is stored with a card's number in it. */
export const noCardNumber = [(text: string) => !hasCardNumber(text), CARD_NUMBER] as const;

/** Ids end up in keys, subjects, links and logs: letters, digits and . _ : - need no escaping in any of them. */
export const id = z.string().regex(/^[A-Za-z0-9._:-]{1,64}$/, "Must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -");

const instrument = id.refine(...noCardNumber);

/** How somebody pays: the first attempt and every other one alike. */
export const paymentChoice = { method: instrument, instrumentId: instrument };

export const currency = z.string().regex(/^[A-Z]{3}$/, "Must be an ISO 4217 code such as INR");

/**
 * A participant's own name for something. It may look like a card number: many providers count their payments, and
 * refusing the name of a payment would lose the money.
 */
export const foreignId = z.string().regex(/^[\x20-\x7e]{1,200}$/, "Must be 1 to 200 printable ASCII characters");
