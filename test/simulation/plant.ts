/** Where a bug can be planted between the product and what it runs on. What is left out is as it should be. */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { Store } from "../../persistence/store.ts";
import type { Executions } from "../../steps/actors.ts";
import type { NodeWorld } from "./node-world.ts";

export interface Plant {
  /** In the ports themselves, beyond the way to them. */
  readonly ports?: (world: NodeWorld) => NodeWorld;
  /** In a node, before the way to the store. */
  readonly store?: (store: Store) => Store;
  /** In a node, before the way to the participants. */
  readonly executions?: (executions: Executions) => Executions;
  readonly machine?: CheckoutMachine;
  /** In the product's own code, for one run; returns how to mend it. */
  readonly install?: () => () => void;
}
