/** API_KEYS: `name:key` pairs, separated by commas or (in a file) by lines. A name may have several keys, for rotation. */

export interface ApiKey {
  readonly name: string;
  readonly key: string;
}

/** The caller of a node without API keys; no key may take this name. */
export const LOCAL_CALLER = "local";

const KEY_LENGTH_MIN = 16;

/** Adds what is wrong to `mistakes`, by the pair's place: the pair itself is a secret. */
export function readApiKeys(text: string, mistakes: string[]): readonly ApiKey[] {
  const apiKeys: ApiKey[] = [];
  const pairs = text.split(/[,\n]/).map((pair) => pair.trim());
  for (const [index, pair] of pairs.entries()) {
    if (pair === "") continue;
    const colon = pair.indexOf(":");
    const name = pair.slice(0, Math.max(colon, 0));
    const key = pair.slice(colon + 1);
    const add = (mistake: string) => mistakes.push(`API_KEYS: pair ${index + 1} ${mistake}.`);
    if (colon === -1) add("has no colon; write name:key");
    else if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) add("needs a name of 1 to 64 of A-Z a-z 0-9 . _ - before its colon");
    else if (name === LOCAL_CALLER) add(`must not be called ${LOCAL_CALLER}, the caller without keys; choose another name`);
    else if (!/^[\x21-\x7e]+$/.test(key)) add("needs a key of visible ASCII characters after its colon");
    else if (key.length < KEY_LENGTH_MIN) add(`has a key that is too short; use ${KEY_LENGTH_MIN} random characters or more`);
    else if (apiKeys.some((other) => other.key === key)) add("repeats the key of an earlier pair; give each its own");
    else apiKeys.push({ name, key });
  }
  return apiKeys;
}
