import { describe, expect, it } from "vitest";
import {
  CheckoutError,
  classify,
  ConflictError,
  InvariantError,
  LeaseLostError,
  TerminalError,
  TransientError,
  ValidationError,
  isUnstorable,
} from "../../machines/errors.ts";

const cause = new Error("the cause");
const violations = [{ pointer: "/cart", code: "REQUIRED", message: "Say which cart." }];

const factories = [
  [new ValidationError(violations), "ValidationError", "VALIDATION", "VALIDATION_FAILED"],
  [new ConflictError("LOCKED", "Busy. Try again.", { cause }), "ConflictError", "CONFLICT", "LOCKED"],
  [new TransientError("TIMEOUT", "Slow. Try again.", { cause }), "TransientError", "TRANSIENT", "TIMEOUT"],
  [new TerminalError("BUSINESS_RULE", "Sold out.", { cause }), "TerminalError", "TERMINAL", "BUSINESS_RULE"],
  [new LeaseLostError("Stop.", { cause }), "LeaseLostError", "LEASE_LOST", "LEASE_LOST"],
  [new InvariantError("A bug.", { cause }), "InvariantError", "INVARIANT", "INVARIANT_VIOLATED"],
] as const;

function coded(code: string, inner?: Error): Error {
  return Object.assign(new Error(`failed with ${code}`, { cause: inner }), { code });
}

describe("an error that we raise", () => {
  it.each(factories)("%s has its name, class and code", (error, name, kind, code) => {
    expect(error).toBeInstanceOf(CheckoutError);
    expect(error).toMatchObject({ name, class: kind, code });
    expect(error.message).not.toBe("");
  });

  it.each(factories.slice(1))("%s keeps its cause", (error) => {
    expect(error.cause).toBe(cause);
  });

  it("leaves out what it was not given", () => {
    const bare = new TransientError("TIMEOUT", "Slow.");
    expect("cause" in bare).toBe(false);
    expect([bare.details, bare.retryAfterMs]).toEqual([undefined, undefined]);
    expect(classify(bare)).toStrictEqual({ class: "TRANSIENT", code: "TIMEOUT", message: "Slow." });
  });

  it("carries all violations, details and the time to wait", () => {
    expect(new ValidationError(violations).violations).toEqual(violations);
    expect(new ValidationError(violations).message).toContain("Correct every violation");
    expect(new TerminalError("PRICE_CHANGED", "New price.", { details: { payable: 1 } }).details).toEqual({ payable: 1 });
    expect(new TransientError("OVERLOADED", "Wait.", { retryAfterMs: 1500 }).retryAfterMs).toBe(1500);
  });
});

describe("classify", () => {
  it("keeps a transient error transient, with its time to wait and details", () => {
    const error = new TransientError("OVERLOADED", "Wait.", { retryAfterMs: 1500, details: { queue: 7 } });
    expect(classify(error)).toEqual({
      class: "TRANSIENT",
      code: "OVERLOADED",
      message: "Wait.",
      retryAfterMs: 1500,
      details: { queue: 7 },
    });
  });

  it.each([factories[1][0], factories[3][0], factories[0][0]])("makes %s terminal under its own code", (error) => {
    expect(classify(error)).toEqual({ class: "TERMINAL", code: error.code, message: error.message });
  });

  // Whether it broke before or after sending can't be told: a retry repeats the key, an undo undoes by the key.
  it.each([
    "ECONNREFUSED",
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "EAI_AGAIN",
    "ENOTFOUND",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "UND_ERR_BODY_TIMEOUT",
    "UND_ERR_CONNECT_TIMEOUT",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_SOCKET",
    "CONNECTION_CLOSED",
    "CONNECTION_ENDED",
    "CONNECTION_DESTROYED",
    "CONNECT_TIMEOUT",
  ])("takes the connection error %s for transient", (code) => {
    expect(classify(coded(code))).toMatchObject({ class: "TRANSIENT", code: "UNAVAILABLE" });
  });

  it.each(["08006", "25006", "53300", "57P01", "40001", "40P01", "55P03"])("takes SQLSTATE %s for transient", (code) => {
    expect(classify(coded(code))).toMatchObject({ class: "TRANSIENT", code: "UNAVAILABLE" });
  });

  it.each(["23505", "42P01", "22P05", "22008", "57014"])("takes SQLSTATE %s for terminal", (code) => {
    expect(classify(coded(code))).toMatchObject({ class: "TERMINAL", code: "UNEXPECTED" });
  });

  it.each(["AbortError", "TimeoutError"])("takes %s for a timeout: its outcome is unknown, so it is tried again", (name) => {
    expect(classify(new DOMException("too slow", name))).toMatchObject({ class: "TRANSIENT", code: "TIMEOUT" });
  });

  it("looks through wrappers to the driver's code", () => {
    expect(classify(new Error("Failed query", { cause: coded("40001") }))).toMatchObject({ class: "TRANSIENT" });
    expect(classify(coded("ERR_WRAPPED", coded("ECONNRESET")))).toMatchObject({ class: "TRANSIENT" });
  });

  it("ends on a chain of causes that leads back to itself", () => {
    const [first, second] = [coded("A"), coded("B")];
    first.cause = second;
    second.cause = first;
    expect(classify(first)).toMatchObject({ class: "TERMINAL", code: "UNEXPECTED" });
  });

  it.each([new TypeError("x is undefined"), "a string", undefined, { code: "ECONNRESET" }])(
    "takes anything else for terminal: %s",
    (thrown) => {
      expect(classify(thrown)).toMatchObject({ class: "TERMINAL", code: "UNEXPECTED" });
    },
  );

  it("looks no deeper than eight causes", () => {
    const wrapped = (depth: number) =>
      Array.from({ length: depth }).reduce<Error>((cause) => new Error("wrapped", { cause }), coded("ECONNRESET"));
    expect(classify(wrapped(7))).toMatchObject({ class: "TRANSIENT" });
    expect(classify(wrapped(8))).toMatchObject({ class: "TERMINAL" });
  });

  it("names the code of an error that nobody expected, where it has one", () => {
    const expected = "The step met an error that nobody expected; the log of the node has it.";
    expect(classify(new TypeError("x is undefined")).message).toBe(expected);
    expect(classify(coded("42P01")).message).toBe(`${expected} (42P01)`);
  });

  it("takes a code that is no text for none", () => {
    expect(classify(Object.assign(new Error("strange"), { code: 40001 }))).toMatchObject({ class: "TERMINAL" });
  });

  it("knows that our own check's refusal is the data's fault too", () => {
    expect(isUnstorable(new InvariantError("A bug."))).toBe(true);
    expect(isUnstorable(new Error("no code"))).toBe(false);
  });

  it("keeps a foreign error's own words out of the failure: a driver quotes the statement and its parameters", () => {
    const query = new Error("Failed query: insert … params: Anna Schmidt, Elm Street 5", { cause: coded("23505") });
    for (const error of [
      query,
      new Error("Anna Schmidt", { cause: coded("ECONNRESET") }),
      new DOMException("Anna Schmidt", "TimeoutError"),
    ]) {
      expect(JSON.stringify(classify(error))).not.toContain("Anna");
    }
  });

  it.each(["22P05", "23505"])("knows that SQLSTATE %s is the data's fault, so that repeating the write can't help", (code) => {
    expect(isUnstorable(coded("ERR_WRAPPED", coded(code)))).toBe(true);
  });

  it.each(["25006", "XX000", "42501", "42P22", "57P01"])("doesn't blame the data for SQLSTATE %s", (code) => {
    expect(isUnstorable(coded(code))).toBe(false);
  });

  it("gives what survives JSON", () => {
    const failure = classify(new TerminalError("PRICE_CHANGED", "New price.", { cause, details: { payable: 1 } }));
    expect(JSON.parse(JSON.stringify(failure))).toEqual(failure);
  });
});
