/** Time travel: a checkout as it was after any entry of its journal. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { order } from "../support/client.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";

onEveryBackend("past checkouts", (stage) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage());
  });
  afterAll(() => service.stop());

  test("one that was confirmed and one that was undone, entry by entry, up to what they are now", async () => {
    const confirmed = (await service.initiate(order("ins_sync_ok"))).checkout();
    const undone = (await service.initiate(order("ins_async"))).checkout();
    await service.cancel(undone.executionContextId);
    for (const { executionContextId: id } of [confirmed, undone]) {
      const entries = await service.orchestrator.history(id, 0, 500);
      const past = await Promise.all(entries.map(({ seq }) => service.at(id, seq)));
      expect(past.map(({ entry }) => [entry.seq, entry.to])).toEqual(entries.map(({ seq, to }) => [seq, to]));
      expect(past[0]?.checkout).toMatchObject({ state: "INITIALIZED", invoice: null, lineItems: [], checkoutOrderId: null });
      expect(past.at(-1)?.checkout).toEqual((await service.get(id)).checkout());
    }
  });

  test("the state and what was known then: no order before STEP_3 is done, no payment before STEP_5 is", async () => {
    const { executionContextId: id } = (await service.initiate(order("ins_sync_ok"))).checkout();
    const seqOf = async (event: string) =>
      (await service.orchestrator.history(id, 0, 500)).find(({ event: { type } }) => type.endsWith(event))?.seq ?? 0;
    const [ordered, requested] = [await seqOf("done.actor.STEP_3"), await seqOf("done.actor.STEP_5")];
    expect((await service.at(id, ordered - 1)).checkout).toMatchObject({ state: "STEP_3", checkoutOrderId: null });
    expect((await service.at(id, ordered)).checkout).toMatchObject({
      state: "STEP_4",
      checkoutOrderId: expect.any(String) as string,
    });
    expect((await service.at(id, requested - 1)).checkout).toMatchObject({ state: "STEP_5", payment: { pcrId: null } });
    expect((await service.at(id, requested)).checkout).toMatchObject({ payment: { status: "CAPTURED" } });
  });
});
