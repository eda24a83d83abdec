/** What an address says besides a host and a port: the client itself reads no user, no password and no scheme from a URL. */
import type { NodeConnectionOptions } from "@nats-io/transport-node";

export type NatsAddress = Pick<NodeConnectionOptions, "user" | "pass" | "token" | "tls"> & { readonly servers: string[] };

const SCHEME = /^[a-z]+:\/\//;

/**
 * Of one cluster: `nats://host:4222`, `nats://user:password@host:4222` or `nats://token@host:4222`, percent-encoded where a
 * URL needs it; the first that has credentials has them for all. `tls://` on any of them refuses a server without TLS.
 */
export function natsAddress(addresses: readonly string[]): NatsAddress {
  const urls = addresses.map((one) => new URL(SCHEME.test(one) ? one : `nats://${one}`));
  const known = urls.find(({ username }) => username !== "");
  return {
    servers: urls.map(({ host }) => host),
    ...(known === undefined ? {} : credentialsOf(known)),
    ...(urls.some(({ protocol }) => protocol === "tls:") ? { tls: {} } : {}),
  };
}

function credentialsOf({ username, password }: URL): Pick<NatsAddress, "user" | "pass" | "token"> {
  const name = decodeURIComponent(username);
  return password === "" ? { token: name } : { user: name, pass: decodeURIComponent(password) };
}
