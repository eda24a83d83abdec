import { readFile } from "node:fs/promises";
import { FlagdCore } from "@openfeature/flagd-core";
import { type Client, type EvaluationContext, OpenFeature, type Provider } from "@openfeature/server-sdk";
import type { PinnedFlag } from "../machines/context.ts";
import type { FeatureFlags, FlagSubject } from "../steps/services.ts";

type FlagKind = "boolean" | "number" | "string";

/** The flags of the demo deployment; FLAGS_FILE names another file. */
const DEMO_FLAGS_FILE = new URL("demo-flags.json", import.meta.url);

/**
 * Feature flags from a flagd file, read once. Throws an Error that names the file when it can't be read or isn't valid.
 * A flag's kind is that of its variants; flags of objects are not for a checkout and are left out.
 */
export async function openFileFlags(file: string | URL = DEMO_FLAGS_FILE): Promise<OpenFeatureFlags> {
  try {
    return await openFlags(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error(`The flags file ${String(file)} can't be used. Correct it or name another.`, { cause: error });
  }
}

/** The same from the text of such a file. */
export async function openFlags(configuration: string): Promise<OpenFeatureFlags> {
  const core = new FlagdCore();
  core.setConfigurations(configuration);
  const kinds = new Map<string, FlagKind>();
  for (const flag of core.getFlags().values()) {
    const kind = typeof [...flag.variants.values()][0];
    if (flag.state === "ENABLED" && (kind === "boolean" || kind === "number" || kind === "string")) kinds.set(flag.key, kind);
  }
  // OpenFeature's registry is one per process; a domain of its own keeps two deployments of flags in one process apart.
  const domain = `checkoutd-${++domains}`;
  await OpenFeature.setProviderAndWait(domain, flagdProvider(core));
  return new OpenFeatureFlags(OpenFeature.getClient(domain), kinds);
}

let domains = 0;

export class OpenFeatureFlags implements FeatureFlags {
  constructor(
    private readonly client: Client,
    private readonly kinds: ReadonlyMap<string, FlagKind>,
  ) {}

  /** Never fails: a flag that can't be evaluated is its neutral value (false, 0, ""), with the reason ERROR. */
  async resolve(subject: FlagSubject): Promise<Readonly<Record<string, PinnedFlag>>> {
    const context: EvaluationContext = { targetingKey: subject.userId, ...subject };
    const pinned = await Promise.all(
      [...this.kinds].map(async ([key, kind]) => [key, await this.#evaluate(key, kind, context)] as const),
    );
    return Object.fromEntries(pinned);
  }

  async #evaluate(key: string, kind: FlagKind, context: EvaluationContext): Promise<PinnedFlag> {
    const details = await this.#details(key, kind, context);
    return { value: details.value, variant: details.variant ?? null, reason: details.reason ?? "UNKNOWN" };
  }

  #details(key: string, kind: FlagKind, context: EvaluationContext) {
    switch (kind) {
      case "boolean":
        return this.client.getBooleanDetails(key, false, context);
      case "number":
        return this.client.getNumberDetails(key, 0, context);
      case "string":
        return this.client.getStringDetails(key, "", context);
      default:
        return kind satisfies never;
    }
  }
}

function flagdProvider(core: FlagdCore): Provider {
  return {
    metadata: { name: "flagd file" },
    runsOn: "server",
    resolveBooleanEvaluation: async (key, fallback, context, logger) =>
      core.resolveBooleanEvaluation(key, fallback, context, logger),
    resolveNumberEvaluation: async (key, fallback, context, logger) =>
      core.resolveNumberEvaluation(key, fallback, context, logger),
    resolveStringEvaluation: async (key, fallback, context, logger) =>
      core.resolveStringEvaluation(key, fallback, context, logger),
    resolveObjectEvaluation: async (key, fallback, context, logger) =>
      core.resolveObjectEvaluation(key, fallback, context, logger),
  };
}
