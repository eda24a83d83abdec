import { describe, expect, it } from "vitest";
import { COUNTER_NAMES, Counters } from "../../runtime/telemetry.ts";
import { setup } from "./setup.ts";

function setupMetrics() {
  const counters = new Counters();
  let resident = 3;
  const gauges = { checkouts_resident: { help: "Checkouts in memory", value: () => resident } };
  const bundle = setup({ metrics: { counters, gauges } });
  const scrape = async () => (await bundle.app.request("/metrics")).text();
  return { ...bundle, counters, scrape, grow: () => (resident += 1) };
}

describe("/metrics", () => {
  it("tells every counter in Prometheus' format, zero included", async () => {
    const { app, counters } = setupMetrics();
    counters.add("lease_lost", 2);
    const response = await app.request("/metrics");
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=/);
    const text = await response.text();
    for (const name of COUNTER_NAMES) {
      expect(text).toContain(`# TYPE ${name}_total counter\n${name}_total ${name === "lease_lost" ? 2 : 0}\n`);
    }
  });

  it("is as of now at each scrape, not added up", async () => {
    const { counters, scrape, grow } = setupMetrics();
    counters.add("commits_applied", 5);
    await scrape();
    counters.add("commits_applied");
    grow();
    const text = await scrape();
    expect(text).toContain("\ncommits_applied_total 6\n");
    expect(text).toContain(
      "# HELP checkouts_resident Checkouts in memory\n# TYPE checkouts_resident gauge\ncheckouts_resident 4\n",
    );
  });

  it("tells of its own node only", async () => {
    const [one, other] = [setupMetrics(), setupMetrics()];
    one.counters.add("lease_lost");
    expect(await other.scrape()).toContain("\nlease_lost_total 0\n");
  });

  it("is for those who may call the API", async () => {
    const apiKeys = [{ name: "shop", key: "shop-key-0123456789" }];
    const { app } = setup({ apiKeys });
    expect((await app.request("/metrics")).status).toBe(401);
    expect((await app.request("/metrics", { headers: { Authorization: "Bearer shop-key-0123456789" } })).status).toBe(200);
    expect((await setup({ peerAddress: () => "203.0.113.9" }).app.request("/metrics")).status).toBe(403);
  });
});
