import { expect, test } from "vitest";
import { Recent } from "../../messaging/recent.ts";

test("keeps the newest half at least, and never more than all", () => {
  const recent = new Recent<number>(10);
  for (let number = 1; number <= 1_000; number++) {
    recent.set(`key ${number}`, number);
    const known = Array.from({ length: number }, (_, index) => recent.get(`key ${index + 1}`)).filter((one) => one !== undefined);
    expect(known.slice(-Math.min(5, number))).toEqual(
      Array.from({ length: Math.min(5, number) }, (_, back) => number - Math.min(5, number) + 1 + back),
    );
    expect(known.length).toBeLessThanOrEqual(10);
  }
});

test("what is set again is what it was set to last, also when it had been forgotten by half", () => {
  const recent = new Recent<string>(4);
  recent.set("a", "first");
  recent.set("b", "");
  recent.set("c", "");
  recent.set("a", "second");
  expect(recent.get("a")).toBe("second");
  recent.clear();
  expect(recent.get("a")).toBeUndefined();
});
