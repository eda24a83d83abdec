import { expect, test } from "vitest";
import { VirtualClock } from "./virtual-clock.ts";

test("timers ring in the order of their due times, and of equal ones in the order of their setting", async () => {
  const clock = new VirtualClock(0);
  const rung: string[] = [];
  const set = (name: string, delayMs: number) => clock.after(delayMs, () => rung.push(`${name}@${clock.now()}`));
  set("late", 30);
  set("first", 10);
  set("second", 10);
  set("now", 0);
  await clock.advance(20);
  expect(rung).toEqual(["now@0", "first@10", "second@10"]);
  expect(clock.now()).toBe(20);
  await clock.advance(10);
  expect(rung.at(-1)).toBe("late@30");
});

test("everything that waits for promises alone runs before the next timer rings", async () => {
  const clock = new VirtualClock(0);
  const heard: string[] = [];
  clock.after(1, () => {
    void Promise.resolve()
      .then(() => undefined)
      .then(() => heard.push("what the first timer began"));
  });
  clock.after(1, () => heard.push("the second timer"));
  await clock.advance(1);
  expect(heard).toEqual(["what the first timer began", "the second timer"]);
});

test("a cancelled timer never rings, also when it is cancelled twice or by another timer", async () => {
  const clock = new VirtualClock(0);
  const rung: number[] = [];
  const cancel = clock.after(5, () => rung.push(5));
  clock.after(4, cancel);
  clock.after(6, () => rung.push(6));
  await clock.advance(10);
  cancel();
  expect(rung).toEqual([6]);
});

test("time goes on until something is reached, or as far as it may", async () => {
  const clock = new VirtualClock(0);
  let count = 0;
  const tick = () => {
    count++;
    clock.after(10, tick);
  };
  tick();
  expect(await clock.runUntil(() => count === 4, 1_000)).toBe(true);
  expect(clock.now()).toBe(30);
  expect(await clock.runUntil(() => count === 40, 100)).toBe(false);
  expect(clock.now()).toBe(130);
  expect(await clock.runUntilIdle(100)).toBe(false);
});

test("it is idle when no timer is left", async () => {
  const clock = new VirtualClock(0);
  clock.after(10, () => void clock.after(5, () => undefined));
  expect(await clock.runUntilIdle(1_000)).toBe(true);
  expect(clock.now()).toBe(15);
});
