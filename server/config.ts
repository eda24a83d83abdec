/** Configuration: the environment, read once. All mistakes are listed at once; the caller prints them and exits 78. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { CheckoutPolicy } from "../machines/context.ts";
import { readApiKeys, type ApiKey } from "./api-keys.ts";
import { isLoopback } from "./loopback.ts";
import { webhookSecretMistake } from "./webhook-signature.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export interface Config {
  /** Null = the embedded database in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  /** Null = locks in the database. */
  readonly redisUrl: string | null;
  /** One broker, or several of a cluster, separated by commas. Null = events stay in this process. */
  readonly natsUrl: string | null;
  /** Copies of the streams that have to be made. */
  readonly natsReplicas: number;
  readonly host: string;
  readonly port: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly apiKeys: readonly ApiKey[];
  readonly paymentProvider: "simulator";
  /** Null = payment events are taken from the built-in provider only. */
  readonly paymentWebhookSecret: string | null;
  readonly flagsFile: string | null;
  readonly requestWaitMs: number;
  readonly shutdownGraceMs: number;
  /** Hashes of versions of the machine whose checkouts may stay unserved. */
  readonly leftVersions: readonly string[];
  readonly policy: CheckoutPolicy;
}

export class ConfigError extends Error {
  constructor(readonly mistakes: readonly string[]) {
    super(`The configuration has ${mistakes.length} mistake(s):\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that hold a secret may name a file instead, e.g. DATABASE_URL_FILE. */
const SECRETS = ["DATABASE_URL", "REDIS_URL", "NATS_URL", "API_KEYS", "PAYMENT_WEBHOOK_SECRET"] as const;

const DAY_MS = 86_400_000;

/** Messages say what to do and never repeat a value that may be secret. */
const schema = z.object({
  DATABASE_URL: url(
    ["postgres:", "postgresql:"],
    "postgres://user:password@host:5432/database, or leave it out for the embedded database",
  ),
  DATA_DIR: z.string().default("./data"),
  REDIS_URL: url(["redis:", "rediss:"], "redis://host:6379, or leave it out for locks in the database"),
  NATS_URL: urls(["nats:", "tls:"], "nats://user:password@host:4222, or several of one cluster separated by commas"),
  NATS_REPLICAS: integer(1, 5, 1),
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]+$/, "must be a host name or an IP address, without a scheme or port")
    .default("127.0.0.1"),
  PORT: integer(0, 65_535, 8080),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(", ")}`).default("info"),
  API_KEYS: z.string().optional(),
  PAYMENT_PROVIDER: z.literal("simulator", "must be simulator, the one provider that there is").optional(),
  PAYMENT_WEBHOOK_SECRET: z.string().optional(),
  FLAGS_FILE: z.string().optional(),
  LEAVE_VERSIONS: z
    .string()
    .regex(/^[0-9a-f]{16}(,[0-9a-f]{16})*$/, "must be hashes of versions as the refusal to start lists them, separated by commas")
    .optional(),
  REQUEST_WAIT_MS: integer(0, 60_000, 5000),
  SHUTDOWN_GRACE_MS: integer(0, 600_000, 10_000),
  STEP_RETRY_MAX: integer(0, 100, 5),
  STEP_RETRY_BUDGET_MS: integer(0, DAY_MS, 60_000),
  // Eight tries from 200 ms, doubling, take about half a minute.
  UNDO_RETRY_MAX: integer(0, 100, 8),
  PAYMENT_DEADLINE_MS: integer(1000, 30 * DAY_MS, 900_000),
  PAYMENT_ATTEMPTS_MAX: integer(1, 20, 3),
  PAYMENT_POLL_MS: integer(1000, DAY_MS, 60_000),
});

export function loadConfig(environment: Environment, readFile: (path: string) => string = readText): Config {
  const mistakes: string[] = [];
  // An empty variable is an absent one: compose files and CI set them so.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== ""));
  const values = { ...given, ...secretsFromFiles(given, readFile, mistakes) };
  const parsed = schema.safeParse(values);
  for (const issue of parsed.error?.issues ?? []) mistakes.push(`${issue.path.join(".")} ${issue.message}.`);
  const apiKeys = readApiKeys(values["API_KEYS"] ?? "", mistakes);
  checkExposure(values, apiKeys, mistakes);
  checkWebhookSecret(values["PAYMENT_WEBHOOK_SECRET"], mistakes);
  if (values["FLAGS_FILE"] !== undefined) readOr(readFile, "FLAGS_FILE", values["FLAGS_FILE"], mistakes);
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes);
  return configOf(parsed.data, apiKeys);
}

function configOf(values: z.infer<typeof schema>, apiKeys: readonly ApiKey[]): Config {
  return {
    databaseUrl: values.DATABASE_URL ?? null,
    dataDir: values.DATA_DIR,
    redisUrl: values.REDIS_URL ?? null,
    natsUrl: values.NATS_URL ?? null,
    natsReplicas: values.NATS_REPLICAS,
    host: values.HOST,
    port: values.PORT,
    logLevel: values.LOG_LEVEL,
    apiKeys,
    paymentProvider: values.PAYMENT_PROVIDER ?? "simulator",
    paymentWebhookSecret: values.PAYMENT_WEBHOOK_SECRET ?? null,
    flagsFile: values.FLAGS_FILE ?? null,
    requestWaitMs: values.REQUEST_WAIT_MS,
    shutdownGraceMs: values.SHUTDOWN_GRACE_MS,
    leftVersions: values.LEAVE_VERSIONS?.split(",") ?? [],
    policy: {
      stepRetryMax: values.STEP_RETRY_MAX,
      stepRetryBudgetMs: values.STEP_RETRY_BUDGET_MS,
      undoRetryMax: values.UNDO_RETRY_MAX,
      paymentDeadlineMs: values.PAYMENT_DEADLINE_MS,
      paymentAttemptsMax: values.PAYMENT_ATTEMPTS_MAX,
      paymentPollMs: values.PAYMENT_POLL_MS,
    },
  };
}

/** What others can reach must know who calls, and must not take simulated money by accident. */
function checkExposure(values: Environment, apiKeys: readonly ApiKey[], mistakes: string[]): void {
  const host = values["HOST"];
  if (host === undefined || isLoopback(host)) return;
  if (apiKeys.length === 0) {
    mistakes.push("HOST is reachable from other machines, so API_KEYS must be set (name:key,name:key), or HOST be 127.0.0.1.");
  }
  if (values["PAYMENT_PROVIDER"] === undefined) {
    mistakes.push("PAYMENT_PROVIDER must be set when HOST is reachable from other machines: simulator moves no real money.");
  }
}

function checkWebhookSecret(secret: string | undefined, mistakes: string[]): void {
  const mistake = secret === undefined ? null : webhookSecretMistake(secret);
  if (mistake !== null) mistakes.push(`PAYMENT_WEBHOOK_SECRET ${mistake}.`);
}

function secretsFromFiles(values: Environment, readFile: (path: string) => string, mistakes: string[]): Record<string, string> {
  const read: Record<string, string> = {};
  for (const name of SECRETS) {
    const path = values[`${name}_FILE`];
    if (path === undefined) continue;
    if (values[name] !== undefined) mistakes.push(`${name} and ${name}_FILE are both set. Keep one of them.`);
    const text = readOr(readFile, `${name}_FILE`, path, mistakes)?.trim();
    if (text === "") mistakes.push(`${name}_FILE names an empty file.`);
    else if (text !== undefined) read[name] = text;
  }
  return read;
}

function readOr(readFile: (path: string) => string, name: string, path: string, mistakes: string[]): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    mistakes.push(`${name} names a file that can't be read: ${path}${code}.`);
    return undefined;
  }
}

function readText(path: string): string {
  return readFileSync(path, "utf8");
}

function integer(min: number, max: number, preset: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, message)
    .transform(Number)
    .pipe(z.number().min(min, message).max(max, message))
    .default(preset);
}

function url(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine((text) => isUrl(text, protocols), `must be a URL such as ${example}`)
    .optional();
}

function urls(protocols: readonly string[], example: string) {
  const areUrls = (text: string) => text.split(",").every((one) => isUrl(one.trim(), protocols));
  return z.string().refine(areUrls, `must be a URL such as ${example}`).optional();
}

function isUrl(text: string, protocols: readonly string[]): boolean {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol);
}
