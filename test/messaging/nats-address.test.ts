import { expect, test } from "vitest";
import { natsAddress } from "../../messaging/nats-address.ts";

test.each([
  [["nats://broker:4222"], { servers: ["broker:4222"] }],
  [["broker:4222", "other:4222"], { servers: ["broker:4222", "other:4222"] }],
  [["nats://shop:s%40cret@broker:4222"], { servers: ["broker:4222"], user: "shop", pass: "s@cret" }],
  [["nats://t0ken@broker:4222"], { servers: ["broker:4222"], token: "t0ken" }],
  [["nats://a:4222", "nats://u:p@b:4222"], { servers: ["a:4222", "b:4222"], user: "u", pass: "p" }],
  [["NATS://broker:4222"], { servers: ["broker:4222"] }],
  [["tls://u:p@[::1]:4222"], { servers: ["[::1]:4222"], user: "u", pass: "p", tls: {} }],
])("%j", (addresses, expected) => expect(natsAddress(addresses)).toEqual(expected));

test.each([
  ["nats://", "It must be nats:// or tls:// and a host."],
  ["http://broker:4222", "It must be nats:// or tls:// and a host."],
  ["nats://ann:%zz@broker", "A % in a user or a password must be written as %25."],
  ["nats://broker:4222/checkout", "It must end after host and port."],
  ["nats://broker:port", "It is no URL."],
])("%s is refused: %s", (address, message) => expect(() => natsAddress([address])).toThrow(message));
