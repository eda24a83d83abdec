import { afterAll, beforeAll, describe } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { claimConformance } from "./store-claims.ts";
import { commitConformance } from "./store-commits.ts";
import { creationConformance } from "./store-creation.ts";
import { inboxConformance } from "./store-inbox.ts";
import { moneyConformance } from "./store-money.ts";
import { outboxConformance } from "./store-outbox.ts";
import { stuckConformance } from "./store-stuck.ts";
import { versionConformance } from "./store-versions.ts";

export interface StoreUnderTest {
  readonly store: Store;
  close(): Promise<void>;
}

/** What every `Store` must do. Ids are random in each test, so that all tests share one database. */
export function storeConformance(name: string, setup: () => Promise<StoreUnderTest>): void {
  describe(`Store: ${name}`, () => {
    let bundle: StoreUnderTest;
    beforeAll(async () => {
      bundle = await setup();
    });
    afterAll(() => bundle.close());

    const store = () => bundle.store;
    creationConformance(store);
    commitConformance(store);
    claimConformance(store);
    inboxConformance(store);
    outboxConformance(store);
    versionConformance(store);
    moneyConformance(store);
    stuckConformance(store);
  });
}
