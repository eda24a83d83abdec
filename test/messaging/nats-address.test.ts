import { expect, test } from "vitest";
import { natsAddress } from "../../messaging/nats-address.ts";

test.each([
  [["nats://broker:4222"], { servers: ["broker:4222"] }],
  [["broker:4222", "other:4222"], { servers: ["broker:4222", "other:4222"] }],
  [["nats://shop:s%40cret@broker:4222"], { servers: ["broker:4222"], user: "shop", pass: "s@cret" }],
  [["nats://t0ken@broker:4222"], { servers: ["broker:4222"], token: "t0ken" }],
  [["nats://a:4222", "nats://u:p@b:4222"], { servers: ["a:4222", "b:4222"], user: "u", pass: "p" }],
  [["tls://u:p@[::1]:4222"], { servers: ["[::1]:4222"], user: "u", pass: "p", tls: {} }],
])("%j", (addresses, expected) => expect(natsAddress(addresses)).toEqual(expected));
