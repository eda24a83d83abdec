import { describe, expect, test } from "vitest";
import { openFileFlags, openFlags } from "../../services/flags.ts";

const demo = await openFileFlags();

describe("the demo flags", () => {
  test("override nothing for an ordinary checkout and say that it is the default", async () => {
    const flags = await demo.resolve({ userId: "usr_42", cityId: "BOM" });
    expect(flags["payment_deadline_ms"]).toEqual({ value: 0, variant: "configured", reason: "DEFAULT" });
    expect(flags["payment_attempts_max"]).toEqual({ value: 0, variant: "configured", reason: "DEFAULT" });
  });

  test("target by platform, user, device, city and version", async () => {
    const base = { userId: "usr_42", cityId: "BOM" };
    const at = async (subject: object, flag: string) => (await demo.resolve({ ...base, ...subject }))[flag];
    expect(await at({ platform: "KIOSK" }, "payment_deadline_ms")).toEqual({
      value: 300_000,
      variant: "kiosk",
      reason: "TARGETING_MATCH",
    });
    expect(await at({ userId: "usr_one_attempt_1" }, "payment_attempts_max")).toMatchObject({ value: 1, variant: "single" });
    expect(await at({ deviceId: "dev_patient" }, "payment_attempts_max")).toMatchObject({ value: 5 });
    expect(await at({ cityId: "BLR", appVersion: "8.4.0" }, "express_confirmation")).toMatchObject({ value: true });
    expect(await at({ cityId: "BLR", appVersion: "7.9.9" }, "express_confirmation")).toMatchObject({ value: false });
    expect(await at({ cityId: "BOM", appVersion: "8.4.0" }, "express_confirmation")).toMatchObject({ value: false });
  });

  test("split users by percentage, always alike for the same user", async () => {
    const variants = new Set<unknown>();
    for (let index = 0; index < 40; index++) {
      const subject = { userId: `usr_${index}`, cityId: "BLR" };
      const first = (await demo.resolve(subject))["confirmation_screen"];
      expect((await demo.resolve(subject))["confirmation_screen"]).toEqual(first);
      variants.add(first?.variant);
    }
    expect(variants).toEqual(new Set(["classic", "compact"]));
  });

  test("stand a subject that is odd", async () => {
    const flags = await demo.resolve({ userId: "", cityId: "\0", appVersion: "not a version", platform: "__proto__" });
    expect(flags["express_confirmation"]).toMatchObject({ value: false });
  });
});

test("keeps two sets of flags in one process apart, and leaves out disabled flags and flags of objects", async () => {
  const flag = (value: unknown, state = "ENABLED") => ({ state, variants: { on: value }, defaultVariant: "on" });
  const flags = { answer: flag(42), tree: flag({ a: 1 }), off: flag(1, "DISABLED") };
  const own = await openFlags(JSON.stringify({ flags }));
  expect(await own.resolve({ userId: "u", cityId: "BLR" })).toEqual({ answer: { value: 42, variant: "on", reason: "STATIC" } });
  expect(Object.keys(await demo.resolve({ userId: "u", cityId: "BLR" }))).not.toContain("answer");
});

test("refuses a file that is missing or no flagd file, by its name", async () => {
  await expect(openFileFlags("/nowhere/flags.json")).rejects.toThrow("/nowhere/flags.json");
  await expect(openFlags("{")).rejects.toThrow("invalid flagd flag configuration");
});
