/** A checkout is watched at any node, whichever one drives it. */
import { afterEach, expect, test } from "vitest";
import { order } from "../support/client.ts";
import { startService, type Service } from "../support/service.ts";
import { onServers } from "../support/stage.ts";

/** A second for the look, and what a loaded machine needs for a query. */
const LIVE_WITHIN_MS = 2_500;

const started: Service[] = [];
afterEach(() => Promise.all(started.splice(0).map((service) => service.stop())));

onServers("streams", (stage) => {
  test("at a node that does not drive it, a checkout is seen live, and resumes after Last-Event-ID", async () => {
    const [driver, other] = [await startService(stage()), await startService(stage())];
    started.push(driver, other);
    const { executionContextId: id } = (await driver.initiate(order("ins_async"))).checkout();
    const stream = await other.stream(id, 3);
    const seen = seqsOf(stream);
    await driver.cancel(id);
    const entries = await driver.orchestrator.history(id, 3, 100);
    const endedAt = Date.now();
    for (const { seq } of entries) expect((await seen.next()).value).toBe(seq);
    expect(Date.now() - endedAt).toBeLessThan(LIVE_WITHIN_MS);
    await seen.return();
  });
});

async function* seqsOf(response: Response): AsyncGenerator<number, void> {
  let rest = "";
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("id: ")) yield Number(line.slice(4));
  }
}
