/** What the demo prints: coloured where a person looks on, plain in a pipe. */
import type { Transition } from "./client.ts";

const ANSI = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof ANSI;

const isColoured = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;

export function styled(style: Style, text: string): string {
  return isColoured ? `\u001b[${ANSI[style]}m${text}\u001b[0m` : text;
}

export function say(text = ""): void {
  process.stdout.write(`${text}\n`);
}

export function headline(text: string): void {
  say(`\n${styled("bold", text)}`);
}

export function remark(text: string, style: Style = "cyan"): void {
  say(`  ${" ".repeat(10)}${styled(style, text)}`);
}

/** The operation of each state, in the specification's words. */
const OPERATIONS: Readonly<Record<string, string>> = {
  INITIALIZED: "the key, the cart and the journal, in one transaction",
  pinningFlags: "feature flags pinned",
  creatingPaymentGroups: "createPaymentGroup",
  acquiringLocks: "distributed locks",
  STEP_1: "createPostSellingPreferences",
  STEP_2: "getLineItemSummary",
  STEP_3: "createCheckoutOrder",
  STEP_4: "handleOptinCreationAndModification",
  STEP_5: "upsertLineItems, createPaymentRequest",
  STEP_6: "hydratePaymentAndUpdateLineItems",
  STEP_7: "createPreferencesToLineItemsMapping",
  producing: "produceLineItemsUpdatedEvent",
  confirming: "executePCRSuccessSteps",
  producingConfirmed: "produceLineItemsConfirmedEvent",
  COMPLETED: "line items confirmed",
  ROLLEDBACK: "everything undone",
};

/** Tells one checkout's transitions; keeps the times that the next line needs. */
export class Narrator {
  #begunAt: number | undefined;
  #lastAt = 0;

  tell(transition: Transition): void {
    const at = Date.parse(transition.at);
    this.#begunAt ??= at;
    const elapsed = `${((at - this.#begunAt) / 1000).toFixed(3)} s`;
    const sinceLast = at - this.#lastAt;
    this.#lastAt = at;
    for (const line of linesOf(transition, sinceLast)) say(`  ${styled("dim", elapsed.padStart(8))}  ${line}`);
  }
}

function linesOf(transition: Transition, sinceLastMs: number): string[] {
  const { event, to, data } = transition;
  const lines: string[] = [];
  const failure = data["error"] as { readonly class: string; readonly code: string } | undefined;
  if (failure !== undefined) {
    const isRetried = to.endsWith(".backingOff");
    const style = isRetried ? "yellow" : "red";
    const then = isRetried ? "backing off" : "failed for good, so everything is undone, last first";
    lines.push(styled(style, `${stateOf(transition.from ?? "").padEnd(12)}${failure.code}: ${then}`));
    if (isRetried) return lines;
  }
  const isRetry = event.startsWith("xstate.after.backoff");
  const suffix = isRetry ? styled("yellow", `  tried again after ${sinceLastMs} ms, under the same key`) : "";
  lines.push(`${colouredState(to)}${operationOf(to)}${suffix}`);
  return lines;
}

function colouredState(path: string): string {
  const state = stateOf(path).padEnd(12);
  if (state.startsWith("COMPLETED")) return styled("green", state);
  return path.includes("undoing.") || state.startsWith("ROLLEDBACK") ? styled("yellow", state) : styled("cyan", state);
}

/** The documented state, or `undo` while PROCESSING undoes. */
function stateOf(path: string): string {
  if (path.includes("undoing.")) return "undo";
  const [root = "", child = ""] = path.split(".");
  return root === "PROCESSING" && child.startsWith("STEP_") ? child : root;
}

function operationOf(path: string): string {
  const parts = path.split(".");
  const undone = parts.indexOf("undoing");
  if (undone !== -1) return parts[undone + 1] ?? "";
  const known = parts.findLast((part) => OPERATIONS[part] !== undefined);
  return known === undefined ? "" : (OPERATIONS[known] ?? "");
}

export function amount(minorUnits: number, currency: string): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(minorUnits / 10 ** digits).replace(/\u00a0/g, " ");
}

/** Columns as wide as their widest cell; the last one takes a style per row. */
export function table(
  head: readonly string[],
  rows: readonly { readonly cells: readonly string[]; readonly style: Style }[],
): void {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map(({ cells }) => (cells[column] ?? "").length)));
  const line = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0));
  say(`  ${styled("dim", line(head).join("  "))}`);
  for (const { cells, style } of rows) {
    const padded = line(cells);
    say(`  ${[...padded.slice(0, -1), styled(style, padded.at(-1) ?? "")].join("  ")}`);
  }
}
