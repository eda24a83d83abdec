import pino, { type Logger } from "pino";
import type { Config } from "./config.ts";

const CAUSE_DEPTH_MAX = 8;

/** JSON lines on standard output. An error is its name, code and message, never a statement with its parameters: they may be personal. */
export function createLog(level: Config["logLevel"]): Logger {
  return pino({ level, base: { service: "checkoutd" }, serializers: { err: describeError } });
}

/** drizzle puts the whole query into its message; its cause says what happened. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  let innermost = error;
  for (let depth = 0; depth < CAUSE_DEPTH_MAX && innermost.cause instanceof Error; depth++) innermost = innermost.cause;
  const isQuery = innermost.message.startsWith("Failed query");
  return {
    name: error.name,
    ...("code" in innermost ? { code: innermost.code } : {}),
    message: isQuery ? "A statement failed." : innermost.message,
    stack: innermost.stack?.split("\n").filter((line) => line.startsWith("    at ")),
  };
}
