/**
 * Looks at JSON text before anybody parses it: how deep it nests and which keys stand twice in one object.
 * One pass, no recursion, so a hostile depth costs nothing; malformed text is left for the parser to refuse.
 */
import { jsonPointer } from "./json-pointer.ts";

export interface JsonScan {
  readonly isTooDeep: boolean;
  /** Pointers of keys that repeat: parsers disagree about which one counts. */
  readonly duplicates: readonly string[];
}

interface Frame {
  /** Keys seen, or null in an array. */
  readonly keys: Set<string> | null;
  /** Where we are: the current key or index. */
  at: string | number;
  expectsKey: boolean;
}

const DUPLICATES_MAX = 100;

export function scanJson(text: string, depthMax: number): JsonScan {
  const frames: Frame[] = [];
  const duplicates: string[] = [];
  for (let i = 0; i < text.length; i++) {
    const frame = frames.at(-1);
    switch (text.charAt(i)) {
      case "{":
      case "[":
        if (frames.length === depthMax) return { isTooDeep: true, duplicates: [] };
        frames.push(text[i] === "{" ? { keys: new Set(), at: "", expectsKey: true } : { keys: null, at: 0, expectsKey: false });
        break;
      case "}":
      case "]":
        frames.pop();
        break;
      case ",":
        if (frame?.keys) frame.expectsKey = true;
        else if (frame !== undefined) frame.at = Number(frame.at) + 1;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (frame?.keys && frame.expectsKey && !enterKey(frame, frame.keys, text.slice(i, end + 1))) {
          if (duplicates.length < DUPLICATES_MAX) duplicates.push(jsonPointer(frames.map(({ at }) => at)));
        }
        i = end;
      }
    }
  }
  return { isTooDeep: false, duplicates };
}

/** Index of the closing quote, or of the text's last character when there is none. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i;
  }
  return text.length - 1;
}

/** False when the object has this key already, however it was escaped. */
function enterKey(frame: Frame, seen: Set<string>, quoted: string): boolean {
  frame.expectsKey = false;
  frame.at = unquote(quoted);
  const isNew = !seen.has(frame.at);
  seen.add(frame.at);
  return isNew;
}

function unquote(quoted: string): string {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    // A broken escape: the parser will refuse the whole text.
    return quoted;
  }
}
