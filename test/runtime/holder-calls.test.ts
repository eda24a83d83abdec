import { expect, test } from "vitest";
import { HolderCalls } from "../../runtime/holder-calls.ts";
import { MemoryCalls } from "../simulation/memory-calls.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SILENT } from "../support/ports.ts";

const CHECK_EVERY_MS = 5_000;

function setup() {
  const clock = new VirtualClock();
  const memory = new MemoryCalls();
  const heard: string[] = [];
  const warnings: string[] = [];
  const connections: { isLost: boolean; isEnded: boolean }[] = [];
  const controls = { isAway: false };
  const calls = new HolderCalls({
    calls: {
      call: async (id) => (controls.isAway ? Promise.reject(new Error("the database is away")) : memory.call(id)),
      listen: async (hear) => {
        if (controls.isAway) throw new Error("the database is away");
        const connection = { isLost: false, isEnded: false };
        connections.push(connection);
        const listening = await memory.listen((id) => connection.isLost || hear(id));
        return {
          ping: () => (connection.isLost ? Promise.reject(new Error("the connection is lost")) : listening.ping()),
          end: () => {
            connection.isEnded = true;
            listening.end();
          },
        };
      },
    },
    clock,
    log: { ...SILENT, warn: (_fields, message) => warnings.push(message) },
    heard: (id) => heard.push(id),
  });
  const settle = () => clock.advance(0);
  return { clock, memory, heard, warnings, connections, controls, calls, settle };
}

test("hears calls from its start on, not before", async () => {
  const { memory, heard, calls, settle } = setup();
  await memory.call("ctx_1");
  calls.start();
  await settle();
  await memory.call("ctx_2");
  await settle();
  expect(heard).toEqual(["ctx_2"]);
});

test("a connection that was lost is ended and made anew, once", async () => {
  const { clock, memory, heard, connections, calls, settle } = setup();
  calls.start();
  await settle();
  const [first] = connections;
  if (first !== undefined) first.isLost = true;
  await clock.advance(3 * CHECK_EVERY_MS);
  expect(connections).toEqual([
    { isLost: true, isEnded: true },
    { isLost: false, isEnded: false },
  ]);
  await memory.call("ctx_1");
  await settle();
  expect(heard).toEqual(["ctx_1"]);
});

test("tries again while the database is away, and says so", async () => {
  const { clock, connections, controls, warnings, calls } = setup();
  controls.isAway = true;
  calls.start();
  await clock.advance(CHECK_EVERY_MS);
  expect(warnings).toHaveLength(2);
  controls.isAway = false;
  await clock.advance(CHECK_EVERY_MS);
  expect(connections).toHaveLength(1);
});

test("a call that can't be made is told of and breaks nothing", async () => {
  const { controls, warnings, calls } = setup();
  controls.isAway = true;
  await calls.call("ctx_1");
  expect(warnings).toEqual(["The node that runs it could not be called"]);
});

test("hears nothing more once it is stopped, also when that comes while it begins to listen", async () => {
  const { clock, memory, heard, connections, calls, settle } = setup();
  calls.start();
  // The check is under way, and no connection is there yet.
  const stopped = clock.advance(0);
  await calls.stop();
  await stopped;
  await memory.call("ctx_1");
  await settle();
  expect(heard).toEqual([]);
  expect(connections.every(({ isEnded }) => isEnded)).toBe(true);
  await clock.advance(2 * CHECK_EVERY_MS);
  expect(connections.length).toBeLessThan(2);
});
