/** What an address says besides a host and a port: the client itself reads no user, no password and no scheme from a URL. */
import type { NodeConnectionOptions } from "@nats-io/transport-node";

export type NatsAddress = Pick<NodeConnectionOptions, "user" | "pass" | "token" | "tls"> & { readonly servers: string[] };

const SCHEME = /^[a-z]+:\/\//i;

/**
 * Of one cluster: `nats://host:4222`, `nats://user:password@host:4222` or `nats://token@host:4222`, percent-encoded where a
 * URL needs it; the first that has credentials has them for all. `tls://` on any of them refuses a server without TLS.
 * Throws an Error that says what is wrong, and repeats nothing of it.
 */
export function natsAddress(addresses: readonly string[]): NatsAddress {
  const urls = addresses.map(urlOf);
  const known = urls.find(({ username }) => username !== "");
  return {
    servers: urls.map(({ host }) => host),
    ...(known === undefined ? {} : credentialsOf(known)),
    ...(urls.some(({ protocol }) => protocol === "tls:") ? { tls: {} } : {}),
  };
}

function credentialsOf({ username, password }: URL): Pick<NatsAddress, "user" | "pass" | "token"> {
  const name = decoded(username);
  return password === "" ? { token: name } : { user: name, pass: decoded(password) };
}

function urlOf(address: string): URL {
  const text = SCHEME.test(address) ? address : `nats://${address}`;
  if (!URL.canParse(text)) throw new Error("It is no URL.");
  const url = new URL(text);
  if (!["nats:", "tls:"].includes(url.protocol) || url.hostname === "")
    throw new Error("It must be nats:// or tls:// and a host.");
  if (url.search !== "" || url.hash !== "" || !["", "/"].includes(url.pathname)) {
    throw new Error("It must end after host and port.");
  }
  return url;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new Error("A % in a user or a password must be written as %25.", { cause: error });
  }
}
