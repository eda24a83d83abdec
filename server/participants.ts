/** The built-in participants over one database, and the simulated provider's events brought to the inbox. */
import type { Database } from "../persistence/connect.ts";
import { SqlCheckoutRules } from "../services/business-rules.ts";
import { createDemoCatalogue } from "../services/demo-catalogue.ts";
import { openFileFlags, type OpenFeatureFlags } from "../services/flags.ts";
import { SqlInvoices } from "../services/invoices.ts";
import { SqlLineItems } from "../services/line-items.ts";
import { SqlOptIns } from "../services/opt-ins.ts";
import { SqlCheckoutOrders } from "../services/orders.ts";
import { SqlPaymentGroups } from "../services/payment-groups.ts";
import { SqlPayments } from "../services/payments.ts";
import { SqlPreferences } from "../services/preferences.ts";
import { SimulatedProvider } from "../services/provider-simulator.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { CheckoutServices } from "../steps/services.ts";
import { ConfigError } from "./config.ts";

/** A price outlives the longest time that a payment may take, flags included. */
const PRICE_VALID_MIN_MS = 3_600_000;

export interface ParticipantsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly flagsFile: string | null;
  readonly paymentDeadlineMs: number;
}

export interface Participants {
  readonly services: CheckoutServices;
  readonly payments: SqlPayments;
  readonly provider: SimulatedProvider;
}

export async function openParticipants(options: ParticipantsOptions): Promise<Participants> {
  const { database, clock, ids, flagsFile, paymentDeadlineMs } = options;
  const catalogue = createDemoCatalogue();
  const provider = new SimulatedProvider({ database, ids, clock });
  const payments = new SqlPayments({ database, ids, provider });
  const validForMs = Math.max(PRICE_VALID_MIN_MS, paymentDeadlineMs);
  return {
    provider,
    payments,
    services: {
      rules: new SqlCheckoutRules({ database, clock, catalogue }),
      flags: await openFlagsFile(flagsFile),
      paymentGroups: new SqlPaymentGroups({ database, ids, catalogue }),
      preferences: new SqlPreferences({ database, ids, catalogue }),
      invoices: new SqlInvoices({ database, ids, clock, catalogue, validForMs }),
      orders: new SqlCheckoutOrders({ database, ids }),
      optIns: new SqlOptIns({ database, ids }),
      lineItems: new SqlLineItems({ database, ids }),
      payments,
    },
  };
}

async function openFlagsFile(flagsFile: string | null): Promise<OpenFeatureFlags> {
  if (flagsFile === null) return openFileFlags();
  try {
    return await openFileFlags(flagsFile);
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
    throw new ConfigError([`FLAGS_FILE must be a flagd configuration in JSON${reason}.`]);
  }
}
