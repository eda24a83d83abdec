/** One sequence at one state, from its fixture to its end. */
import { isPastPivot, documentedStateOf } from "../../machines/view.ts";
import { replayBreaches } from "../../scripts/invariants/replay.ts";
import type { Sequence } from "./alphabet.ts";
import { CallDesk } from "./call-desk.ts";
import { evidenceOf } from "../simulation/evidence.ts";
import { breachesOf, type Ending } from "./laws.ts";
import type { StartState } from "./start-states.ts";
import { World, type Fixture } from "./world.ts";

export interface RunResult {
  readonly breaches: readonly string[];
  /** In which end it rests; null = it doesn't. */
  readonly end: string | null;
  /** The run, to be read: what was delivered and what the journal says. */
  readonly story: () => Promise<string>;
}

/** So often a checkout may be claimed without a commit; once more, and it is parked for an operator. */
const CLAIMS_MAX = 5;

export async function runSequence(
  state: StartState,
  fixture: Fixture,
  letters: Sequence,
  options: { readonly isReplayed: boolean },
): Promise<RunResult> {
  const world = new World(fixture.id, new CallDesk(state.gate), fixture);
  await world.begin();
  const cancelledPastPivot: boolean[] = [];
  const marks: { readonly seq: number; readonly letter: string }[] = [];
  for (const letter of letters) {
    marks.push({ seq: world.row.seq, letter });
    if (letter === "cancel") cancelledPastPivot.push(await isPastItsPivot(world));
    await world.deliver(letter);
  }
  marks.push({ seq: world.row.seq, letter: "(what was held is let go, and time goes on)" });
  const isResting = await world.finish();
  const story = () => storyOf(world, state, letters, marks);
  const end = isResting && world.isAtRest ? world.row.state : null;
  if (world.row.parkedReason !== null) return { breaches: breachesOfParking(world, letters), end, story };
  if (!isResting) return { breaches: [world.isRunaway ? "it goes round in a circle" : "it never comes to rest"], end, story };
  const evidence = await evidenceOf(world, world.id);
  const ending: Ending = {
    world,
    evidence,
    cancelledPastPivot,
    isPaidUnheard: state.before?.includes("unheard") === true,
    isCompleted: world.row.state === "COMPLETED",
    requirement: world.requirement,
  };
  const breaches = [...(await breachesOf(ending)), ...(options.isReplayed ? replayBreaches(evidence) : [])];
  return { breaches, end, story };
}

async function isPastItsPivot({ store, id, row }: World): Promise<boolean> {
  const [last] = await store.history(id, row.seq - 1, 1);
  const path = last?.to ?? "";
  return isPastPivot({ path, state: documentedStateOf(path) });
}

/** A checkout that crashes its node again and again is parked on purpose: the first claim, and one for each crash. */
function breachesOfParking({ row }: World, letters: Sequence): readonly string[] {
  const crashes = letters.filter((letter) => letter === "crash").length;
  const isMeant = crashes >= CLAIMS_MAX && row.parkedReason?.includes("without progress") === true;
  return isMeant ? [] : [`it was parked: ${row.parkedReason}`];
}

async function storyOf(
  { store, id, row, requirement }: World,
  state: StartState,
  letters: Sequence,
  marks: readonly { readonly seq: number; readonly letter: string }[],
): Promise<string> {
  const lines = [`SEQUENCE="${state.name}: ${letters.join(" ")}"`];
  for (const { seq, at, event, from, to } of await store.history(id, 0, Number.POSITIVE_INFINITY)) {
    const data = event["data"] as { readonly pspReference?: string; readonly amount?: number } | undefined;
    const details = data === undefined ? "" : ` ${data.pspReference} ${data.amount}`;
    lines.push(
      `${String(seq).padStart(4)} ${new Date(at).toISOString().slice(11, 23)} ${from ?? ""} -- ${event.type}${details} -> ${to}`,
    );
    lines.push(...marks.filter((mark) => mark.seq === seq).map(({ letter }) => `     > ${letter}`));
  }
  const { charges, captures, givenBack } = requirement;
  lines.push(`events: ${(await store.events(id)).map(({ type }) => type).join(" ")}`);
  lines.push(
    `ledger: ${(await store.ledger(id)).map((one) => `${one.seq} ${one.credit}>${one.debit} ${one.amount}`).join(", ")}`,
  );
  lines.push(`charges: ${charges.map(({ attemptId, status }) => `${attemptId} ${status}`).join(", ")}`);
  lines.push(`captured: ${captures.map(({ pspReference, amount }) => `${pspReference} ${amount}`).join(", ")}`);
  lines.push(`given back: ${givenBack.map(({ key, refund }) => `${key} ${refund.amount} ${refund.reason}`).join(", ")}`);
  lines.push(`row: ${JSON.stringify({ ...row, idempotencyKey: undefined })}`);
  return lines.join("\n");
}
