import { describe, expect, it } from "vitest";
import { ConfigError, loadConfig, type Environment } from "../../server/config.ts";

const KEY = "shop:0123456789abcdef";

function mistakes(environment: Environment, files: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    load(environment, files);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

function load(environment: Environment, files: Readonly<Record<string, string>> = {}) {
  return loadConfig(environment, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
    return text;
  });
}

describe("the configuration", () => {
  it("takes the hashes of versions that may stay unserved", () => {
    const LEAVE_VERSIONS = "0123456789abcdef,fedcba9876543210";
    expect(load({ LEAVE_VERSIONS }).leftVersions).toEqual(LEAVE_VERSIONS.split(","));
  });

  it("has the documented defaults, and takes an empty variable for an absent one", () => {
    expect(load({ PORT: "", DATABASE_URL: " ", HOME: "/root" })).toEqual({
      databaseUrl: null,
      dataDir: "./data",
      redisUrl: null,
      natsUrl: null,
      natsReplicas: 1,
      leftVersions: [],
      host: "127.0.0.1",
      port: 8080,
      logLevel: "info",
      apiKeys: [],
      paymentProvider: "simulator",
      paymentWebhookSecret: null,
      flagsFile: null,
      requestWaitMs: 5000,
      shutdownGraceMs: 10_000,
      policy: {
        stepRetryMax: 5,
        stepRetryBudgetMs: 60_000,
        undoRetryMax: 8,
        paymentDeadlineMs: 900_000,
        paymentAttemptsMax: 3,
        paymentPollMs: 60_000,
      },
    });
  });

  it("lists all mistakes at once, each saying what to do, none repeating a secret", () => {
    const found = mistakes({
      DATABASE_URL: "mysql://root:hunter2@db/x",
      REDIS_URL: "hunter2",
      HOST: "0.0.0.0",
      PORT: "80 80",
      LOG_LEVEL: "loud",
      PAYMENT_PROVIDER: "stripe",
      REQUEST_WAIT_MS: "-1",
      PAYMENT_ATTEMPTS_MAX: "0",
      FLAGS_FILE: "/nowhere/flags.json",
      API_KEYS: "hunter2",
      PAYMENT_WEBHOOK_SECRET: "hunter2",
      LEAVE_VERSIONS: "the old one",
    });
    expect(new Set(found.map((mistake) => mistake.split(/[: ]/)[0]))).toEqual(
      new Set([
        "API_KEYS",
        "DATABASE_URL",
        "FLAGS_FILE",
        "HOST",
        "LEAVE_VERSIONS",
        "LOG_LEVEL",
        "PAYMENT_ATTEMPTS_MAX",
        "PAYMENT_PROVIDER",
        "PAYMENT_WEBHOOK_SECRET",
        "PORT",
        "REDIS_URL",
        "REQUEST_WAIT_MS",
      ]),
    );
    expect(found.join()).not.toContain("hunter2");
    expect(found).toContain("LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent.");
    expect(found).toContain("FLAGS_FILE names a file that can't be read: /nowhere/flags.json (ENOENT).");
  });

  it("reads secrets from files", () => {
    const files = { "/run/db": "postgres://u:p@db/x\n", "/run/keys": `${KEY}\napp:fedcba9876543210\n` };
    const config = load({ DATABASE_URL_FILE: "/run/db", API_KEYS_FILE: "/run/keys" }, files);
    expect(config.databaseUrl).toBe("postgres://u:p@db/x");
    expect(config.apiKeys).toEqual([
      { name: "shop", key: "0123456789abcdef" },
      { name: "app", key: "fedcba9876543210" },
    ]);
  });

  it("takes a secret for payment events in base64, with or without its prefix, also from a file", () => {
    const key = Buffer.alloc(24, 7).toString("base64");
    expect(load({ PAYMENT_WEBHOOK_SECRET: key }).paymentWebhookSecret).toBe(key);
    const files = { "/run/webhook": `whsec_${key}\n` };
    expect(load({ PAYMENT_WEBHOOK_SECRET_FILE: "/run/webhook" }, files).paymentWebhookSecret).toBe(`whsec_${key}`);
  });

  it.each(["whsec_", "whsec_!", "whsec_abc", "whsec_c2VjcmV0", "not base64 at all"])(
    "refuses PAYMENT_WEBHOOK_SECRET=%s, and says how to make one",
    (PAYMENT_WEBHOOK_SECRET) => {
      expect(mistakes({ PAYMENT_WEBHOOK_SECRET })).toEqual([expect.stringContaining("openssl rand -base64 32")]);
    },
  );

  it("refuses a secret given twice, in an empty file or in none", () => {
    expect(mistakes({ API_KEYS: KEY, API_KEYS_FILE: "/k" }, { "/k": KEY })).toEqual([
      "API_KEYS and API_KEYS_FILE are both set. Keep one of them.",
    ]);
    expect(mistakes({ REDIS_URL_FILE: "/r" }, { "/r": "\n" })).toEqual(["REDIS_URL_FILE names an empty file."]);
    expect(mistakes({ REDIS_URL_FILE: "/r" })).toHaveLength(1);
  });

  it.each(["0.0.0.0", "::", "10.0.0.5", "checkout.example", "128.0.0.1"])("asks for keys and a provider on HOST=%s", (HOST) => {
    expect(mistakes({ HOST })).toHaveLength(2);
    expect(mistakes({ HOST, API_KEYS: KEY })).toHaveLength(1);
    expect(load({ HOST, API_KEYS: KEY, PAYMENT_PROVIDER: "simulator" }).host).toBe(HOST);
  });

  it.each(["127.0.0.1", "localhost", "::1", "127.0.0.53"])("asks for neither on HOST=%s", (HOST) => {
    expect(load({ HOST }).apiKeys).toEqual([]);
  });

  it.each([
    ["shop", "has no colon"],
    [":0123456789abcdef", "needs a name"],
    ["local:0123456789abcdef", "must not be called local"],
    ["shop:short", "too short"],
    ["shop:0123456789 abcdef", "visible ASCII"],
    [`${KEY},app:0123456789abcdef`, "repeats the key"],
  ])("refuses API_KEYS=%s", (API_KEYS, reason) => {
    const [mistake] = mistakes({ API_KEYS });
    expect(mistake).toContain(reason);
  });

  it("lets one name have two keys, and a key contain a colon", () => {
    const { apiKeys } = load({ API_KEYS: `${KEY}, shop:fedcba:9876543210` });
    expect(apiKeys.map(({ key }) => key)).toEqual(["0123456789abcdef", "fedcba:9876543210"]);
  });
});
