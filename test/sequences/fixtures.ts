import { dehydrate, statePath } from "../../runtime/engine.ts";
import { revive } from "../../runtime/revival.ts";
import { CallDesk } from "./call-desk.ts";
import { machine } from "./shared-machine.ts";
import type { StartState } from "./start-states.ts";
import { World, type Fixture } from "./world.ts";

/** Brings a new checkout to where a sequence begins. */
export async function fixtureOf({ name, path, before, gate, failures }: StartState): Promise<Fixture> {
  const world = new World("ctx_1", new CallDesk(gate, failures), null);
  await world.begin();
  await world.initiate();
  for (const letter of before ?? []) await world.deliver(letter);
  const stored = await world.store.load(world.id);
  if (stored === null) throw new Error("The checkout was not created");
  const { snapshot, timers, seq } = revive(machine, stored);
  if (statePath(snapshot) !== path) throw new Error(`${name} should begin at ${path}; the checkout is at ${statePath(snapshot)}`);
  // Every sequence begins with a revival: let it be short.
  world.store.refreshCheckpoint(world.id, { seq, snapshot: dehydrate(machine, snapshot), timers });
  return world.freeze();
}
