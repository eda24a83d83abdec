/** The short form of `npm run chaos`: each fault strikes, and nothing is wrong in the end. */
import { beforeAll, expect, test, vi } from "vitest";
import { describeOn } from "../support/server.ts";
import { runChaos, type ChaosReport } from "./chaos.ts";
import { FAULTS, SHORT_CHECKOUTS, SHORT_TIMES } from "./plan.ts";

vi.setConfig({ testTimeout: 10_000, hookTimeout: 240_000 });

/** Of what is drawn: another one each time, and said. */
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const CHECKOUTS = Number(process.env["CHECKOUTS"] ?? SHORT_CHECKOUTS);

describeOn("postgres", "chaos", () => {
  describeOn("redis", "on real servers", () => {
    describeOn("nats", "under faults", () => {
      let report: ChaosReport;
      beforeAll(async () => {
        process.stdout.write(`  chaos: ${CHECKOUTS} checkouts, SEED=${SEED}\n`);
        report = await runChaos({ seed: SEED, checkouts: CHECKOUTS, times: SHORT_TIMES });
        if (report.dataDirectory !== null) process.stdout.write(`  the database is kept in ${report.dataDirectory}\n`);
      });

      test.each(FAULTS)("%s: it struck as often as planned", (fault) => {
        expect(report.struck[fault]).toBe(SHORT_TIMES[fault]);
      });

      test("a write of a node that stood still came late and was refused, by the fence alone", () => {
        expect(report.lateWrites.arrived).toBeGreaterThan(0);
        expect(report.counters.commits_refused).toBeGreaterThan(0);
      });

      test("a commit whose answer was lost was found to be applied", () => {
        expect(report.counters.commits_recognised).toBeGreaterThan(0);
      });

      test("checkouts of dead nodes were taken up by others, and by the embedded service after its own death", () => {
        expect(report.counters.checkouts_resumed).toBeGreaterThan(0);
        expect(report.embedded.resumed).toBeGreaterThan(0);
      });

      test("nothing is wrong", () => {
        expect(report.breaches).toEqual([]);
      });
    });
  });
});
