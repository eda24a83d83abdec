/** What can become of a payment: the same is said of it, however often it is asked. */
import { AMOUNT, type PaymentCalls } from "./payment-calls.ts";

/** How it ends, by the provider's own word, and after a cancellation. */
interface Story {
  readonly what: string;
  readonly kind: "pending" | "captured" | "declined" | "cancelled";
  readonly afterCancelling: Story["kind"];
  readonly happen: (checkout: PaymentCalls) => Promise<{ readonly pcrId: string }>;
}

export const STORIES: readonly Story[] = [
  { what: "paid at once", kind: "captured", afterCancelling: "captured", happen: (checkout) => checkout.request("pays") },
  { what: "declined at once", kind: "declined", afterCancelling: "declined", happen: (checkout) => checkout.request("declines") },
  { what: "waiting", kind: "pending", afterCancelling: "cancelled", happen: (checkout) => checkout.request("waits") },
  {
    what: "paid later",
    kind: "captured",
    afterCancelling: "captured",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.captured(opened);
      return opened;
    },
  },
  {
    what: "paid with another amount",
    kind: "declined",
    afterCancelling: "declined",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.captured(opened, AMOUNT + 1);
      return opened;
    },
  },
  {
    what: "declined later",
    kind: "declined",
    afterCancelling: "declined",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.decline(opened);
      return opened;
    },
  },
  {
    what: "cancelled",
    kind: "cancelled",
    afterCancelling: "cancelled",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.cancel(opened);
      return opened;
    },
  },
  {
    what: "paid after it was cancelled",
    kind: "captured",
    afterCancelling: "captured",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.cancel(opened);
      await checkout.captured(opened);
      return opened;
    },
  },
  {
    what: "paid and given back",
    kind: "cancelled",
    afterCancelling: "cancelled",
    happen: async (checkout) => {
      const opened = await checkout.request("waits");
      await checkout.refund(opened, await checkout.captured(opened));
      return opened;
    },
  },
  {
    what: "declined, and waiting for another attempt",
    kind: "pending",
    afterCancelling: "cancelled",
    happen: async (checkout) => {
      const opened = await checkout.request("declines");
      await checkout.attempt(opened, 2, "waits");
      return opened;
    },
  },
];
