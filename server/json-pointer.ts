/** JSON pointers (RFC 6901) into what a client sent. Keys are the client's own text, so they are cut and cleaned. */

const KEY_LENGTH_MAX = 100;

export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${token(String(key))}`).join("");
}

function token(key: string): string {
  const cut = key.length > KEY_LENGTH_MAX ? `${key.slice(0, KEY_LENGTH_MAX)}…` : key;
  // A NUL or half a surrogate pair would make our own answer unreadable, or unstorable.
  const clean = cut.replace(/\p{Surrogate}|\0/gu, "\ufffd");
  return clean.replaceAll("~", "~0").replaceAll("/", "~1");
}
