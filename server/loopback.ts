/** Which addresses and host names can only be reached from this machine. */

export function isLoopback(hostOrAddress: string): boolean {
  const host = hostOrAddress.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (host === "localhost" || host === "::1") return true;
  // A dual-stack socket reports an IPv4 peer as an IPv4-mapped IPv6 address.
  return /^(::ffff:)?127(\.(0|[1-9]\d{0,2})){3}$/.test(host);
}
