import { expect, test } from "vitest";
import { type CatalogueData, createCatalogue } from "../../services/catalogue.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";

const empty: CatalogueData = { cities: [], skus: [], slots: [], plans: [], coupons: [], blockedUsers: [] };

test("knows the documented SKUs, a blocked user, and takes everybody else for active", () => {
  const catalogue = createDemoCatalogue();
  expect(catalogue.sku("SVC-AC-DEEP")).toMatchObject({ unitPrice: 99_950, currency: "INR", sellerId: "slr_1" });
  expect(catalogue.sku("PRD-FILTER")).toMatchObject({ unitPrice: 50_000, currency: "INR", sellerId: "slr_2" });
  expect(catalogue.plan("plus_6m")).toMatchObject({ price: 10_000 });
  expect(catalogue.isActiveUser("usr_blocked")).toBe(false);
  expect(catalogue.isActiveUser("usr_never_seen")).toBe(true);
});

test("knows nothing by the names that every object has", () => {
  const catalogue = createDemoCatalogue();
  for (const name of ["__proto__", "constructor", "toString", ""]) {
    expect([catalogue.sku(name), catalogue.plan(name), catalogue.coupon(name), catalogue.city(name)]).toEqual(
      Array(4).fill(undefined),
    );
  }
});

test("refuses data with an unknown currency or time zone and says where", () => {
  const cities = [{ cityId: "BLR", timeZone: "Asia/Nowhere" }];
  const plans = [{ planId: "p", type: "CONSENT", price: 0, modifyPrice: 0, currency: "XYZ", taxBasisPoints: 0 }];
  expect(() => createCatalogue({ ...empty, cities, plans })).toThrow(/ISO 4217[^]*plans\[0\]\.currency|time zone[^]*cities\[0\]/);
});

test("refuses data that names a thing twice or refers to a thing that it does not define", () => {
  const city = { cityId: "BLR", timeZone: "Asia/Kolkata" };
  expect(() => createCatalogue({ ...empty, cities: [city, city] })).toThrow("BLR twice");
  const slots = [{ slotId: "s", startsAt: "09:00", cities: ["MARS"], capacity: 1 }];
  expect(() => createCatalogue({ ...empty, slots })).toThrow("MARS");
});
