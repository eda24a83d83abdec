import { expect, test } from "vitest";
import { LEASE_TTL_MS, NodeLease } from "../../runtime/node-lease.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { countingIds, idle, ManualClock, SILENT } from "../support/ports.ts";

const MARGIN_MS = 1_000;
const HEARTBEAT_MS = LEASE_TTL_MS / 4;

function setup() {
  const clock = new ManualClock();
  const beats: string[] = [];
  const ended: string[] = [];
  const lost: string[] = [];
  const controls = { heartbeat: async (): Promise<boolean> => true };
  const counters = new Counters();
  const lease: NodeLease = new NodeLease({
    store: {
      heartbeat: (nodeId) => {
        beats.push(nodeId);
        return controls.heartbeat();
      },
      endLease: async (nodeId) => void ended.push(nodeId),
    },
    clock,
    ids: countingIds(),
    machineHashes: ["hash"],
    log: SILENT,
    counters,
    onLost: () => lost.push(lease.nodeId),
  });
  /** Time passes as it does, not in one leap over several heartbeats. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(500, left));
      await idle();
    }
  };
  return { clock, beats, ended, lost, controls, counters, lease, pass };
}

test("is held from the first heartbeat on, and for as long as they succeed", async () => {
  const { lease, beats, lost, pass } = setup();
  expect(lease.nodeId).toMatch(/^node_/);
  expect(lease.isHeld()).toBe(false);
  await lease.start();
  await pass(10 * LEASE_TTL_MS);
  expect(lease.isHeld()).toBe(true);
  expect(new Set(beats)).toEqual(new Set([lease.nodeId]));
  expect(lost).toEqual([]);
});

test("trust is counted from before the request: a slow answer makes it shorter, never longer", async () => {
  const { lease, clock, controls } = setup();
  controls.heartbeat = async () => {
    clock.advance(3_000);
    return true;
  };
  await lease.start();
  controls.heartbeat = () => new Promise(() => {});
  clock.advance(LEASE_TTL_MS - MARGIN_MS - 3_000 - 1);
  expect(lease.isHeld()).toBe(true);
  clock.advance(1);
  expect(lease.isHeld()).toBe(false);
});

test("ends before others may take over when heartbeats fail", async () => {
  const { lease, controls, pass } = setup();
  await lease.start();
  controls.heartbeat = () => Promise.reject(new Error("the database is away"));
  await pass(LEASE_TTL_MS - MARGIN_MS - 500);
  expect(lease.isHeld()).toBe(true);
  await pass(500);
  expect(lease.isHeld()).toBe(false);
});

test("a lease that the store says is over: everything is dropped first, then a new identity begins", async () => {
  const { lease, lost, beats, counters, controls, pass } = setup();
  await lease.start();
  const first = lease.nodeId;
  let answers = 0;
  controls.heartbeat = async () => ++answers > 1;
  await pass(HEARTBEAT_MS);
  expect(lost).toEqual([first]);
  expect(lease.nodeId).not.toBe(first);
  expect(lease.nodeId).toMatch(/^node_/);
  expect(lease.isHeld()).toBe(true);
  expect(beats.at(-1)).toBe(lease.nodeId);
  expect(counters.get("lease_lost")).toBe(1);
});

test("a node that wakes at the very end of its trust has lost its lease already", async () => {
  const { lease, lost, clock } = setup();
  await lease.start();
  const first = lease.nodeId;
  clock.advance(LEASE_TTL_MS - MARGIN_MS);
  await idle();
  expect(lost).toEqual([first]);
});

test("a new identity is trusted no longer than the first one was", async () => {
  const { lease, controls, pass, clock } = setup();
  await lease.start();
  let answers = 0;
  controls.heartbeat = async () => ++answers > 1;
  await pass(HEARTBEAT_MS);
  controls.heartbeat = () => new Promise(() => {});
  clock.advance(LEASE_TTL_MS - MARGIN_MS - 1);
  expect(lease.isHeld()).toBe(true);
  clock.advance(1);
  expect(lease.isHeld()).toBe(false);
});

test("a node that slept past its trust drops everything without asking for its old lease again", async () => {
  const { lease, lost, beats, clock } = setup();
  await lease.start();
  const first = lease.nodeId;
  clock.advance(2 * LEASE_TTL_MS);
  expect(lease.isHeld()).toBe(false);
  await idle();
  expect(lost).toEqual([first]);
  expect(beats.filter((nodeId) => nodeId === first)).toHaveLength(1);
  expect(lease.isHeld()).toBe(true);
});

test("a new identity whose first heartbeat fails begins at a later one, and nothing is dropped twice", async () => {
  const { lease, lost, controls, pass } = setup();
  await lease.start();
  controls.heartbeat = async () => false;
  await pass(HEARTBEAT_MS);
  expect(lease.isHeld()).toBe(false);
  controls.heartbeat = () => Promise.reject(new Error("the database is away"));
  await pass(HEARTBEAT_MS);
  controls.heartbeat = async () => true;
  await pass(HEARTBEAT_MS);
  expect(lease.isHeld()).toBe(true);
  expect(lost).toHaveLength(1);
});

test("stopping ends the lease, so that others take over at once; twice and before start is safe", async () => {
  const { lease, ended, beats, pass } = setup();
  await lease.start();
  await lease.stop();
  await lease.stop();
  expect(ended).toEqual([lease.nodeId]);
  expect(lease.isHeld()).toBe(false);
  await pass(LEASE_TTL_MS);
  expect(beats).toHaveLength(1);
  const unstarted = setup();
  await unstarted.lease.stop();
  expect(unstarted.ended).toEqual([]);
});

test("a heartbeat that comes back after the stop takes no new identity, and counts as no loss", async () => {
  const { lease, controls, pass, lost, counters, beats } = setup();
  await lease.start();
  let answer: (isHeld: boolean) => void = () => {};
  controls.heartbeat = () => new Promise((resolve) => (answer = resolve));
  await pass(HEARTBEAT_MS);
  await lease.stop();
  const before = beats.length;
  answer(false);
  await pass(LEASE_TTL_MS);
  expect({ lost, beats: beats.length, count: counters.get("lease_lost") }).toEqual({ lost: [], beats: before, count: 0 });
});
