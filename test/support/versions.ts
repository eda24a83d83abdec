import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { MachineVersions } from "../../machines/released/registry.ts";

/** A build that knows one version. */
export function oneVersion(hash: string, machine: CheckoutMachine): MachineVersions {
  return { current: { hash, machine }, migrations: {}, pinned: {} };
}
