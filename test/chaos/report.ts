/** What a run says in the end, as the Markdown of docs/chaos.md. */
import type { ChaosReport } from "./chaos.ts";
import type { Fault } from "./plan.ts";

type Row = readonly [fault: string, times: string, absorbed: string];

export function tableOf(report: ChaosReport): string {
  const rows = [...(Object.keys(report.struck) as Fault[]).map((fault) => rowOf(report, fault)), ...clientRows(report)];
  const lines = rows.map((row) => `| ${row.join(" | ")} |`);
  return ["| fault | times | what absorbed it |", "|---|---|---|", ...lines].join("\n");
}

export function summaryOf({ plan, seconds, checkouts, counters, crowd, breaches }: ChaosReport): string {
  const { faults, rest, verdict, total } = seconds;
  const stories = [...crowd.played].map(([story, times]) => `${times} ${story}`).join(", ");
  const answers = [...crowd.answers].map(([answer, times]) => `${times} × ${answer}`).join(", ");
  return [
    `Seed ${plan.seed}: ${checkouts} checkouts in ${faults.toFixed(1)} s of shoppers and faults, ${counters.commits_applied} commits; at rest ${rest.toFixed(1)} s later; asked for ${verdict.toFixed(1)} s; ${total.toFixed(1)} s in all. ${breaches.length === 0 ? "Nothing is wrong." : `${breaches.length} things are WRONG.`}`,
    `Stories: ${stories}.`,
    `Answers: ${answers}.`,
  ].join("\n\n");
}

function rowOf(report: ChaosReport, fault: Fault): Row {
  return [fault, String(report.struck[fault]), ABSORBED[fault](report)];
}

const ABSORBED: Readonly<Record<Fault, (report: ChaosReport) => string>> = {
  "node: kill -9": ({ counters }) =>
    `recovery: checkouts were taken up from the journal ${counters.checkouts_resumed} times (\`checkouts_resumed\`: orphans of dead nodes, and those that were woken)`,
  "node: SIGSTOP past its lease, a commit still in the network": ({ counters, lateWrites }) =>
    `the fence: ${lateWrites.arrived} commits arrived when their checkout was another node's, and ${lateWrites.applied} of them were applied (\`commits_refused\` ${counters.commits_refused}); the lease: ${counters.lease_lost} nodes dropped all and took a new identity (\`lease_lost\`)`,
  "Postgres: immediate stop in mid-batch, and start": () =>
    "commits are repeated while the lease holds; clients send again; nodes that start meanwhile end with 69, and are started again",
  "Postgres: connection cut before the answer to a commit": ({ counters }) =>
    `repeated commits: ${counters.commits_recognised} were found to have been applied (\`commits_recognised\`, those of restarts too)`,
  "Postgres: every connection of a node cut": ({ connectionsCut }) =>
    `the pool: ${connectionsCut} connections were opened anew; the same repeated commits`,
  "Redis: FLUSHALL": ({ counters }) =>
    `the fence alone: ${counters.locks_lost} checkouts found their locks gone (\`locks_lost\`), ${counters.locks_unavailable} had no answer (\`locks_unavailable\`)`,
  "NATS: kill -9, and start": ({ counters, publications }) =>
    `the outbox: relays met an outage ${counters.bus_unavailable} times (\`bus_unavailable\`); of ${publications.seen} publications that a subscriber saw ${publications.again} were repetitions, and none is on the stream twice`,
  "embedded service: kill -9": ({ embedded }) =>
    `its journal on disk: ${embedded.checkouts} checkouts, taken up again ${embedded.resumed} times by the next process`,
};

function clientRows({ repeats, counters }: ChaosReport): readonly Row[] {
  const again = repeats.filter(([reason]) => !reason.startsWith("answers"));
  const replayed = repeats.find(([reason]) => reason.startsWith("answers"))?.[1] ?? 0;
  const times = again.reduce((sum, [, count]) => sum + count, 0);
  const reasons = again.map(([reason, count]) => `${reason} ${count}`).join(", ");
  return [
    [
      `clients that send again (${reasons})`,
      String(times),
      `idempotency keys: each is one checkout with one answer; ${replayed} answers were repeated from the store`,
    ],
    [
      "payment events told again",
      String(counters.payment_events_duplicate),
      `the inbox: ${counters.payment_events_stored} were kept, each once`,
    ],
  ];
}
