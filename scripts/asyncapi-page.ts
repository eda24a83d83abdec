/** The page that shows what is told and heard over the broker, made from the schemas. */
import { readFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";
import { asyncApiDocument } from "../server/asyncapi.ts";

export const ASYNCAPI_PAGE = "docs/asyncapi.json";

export async function asyncApiPage(): Promise<string> {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string };
  const options = await resolveConfig(ASYNCAPI_PAGE);
  return format(JSON.stringify(asyncApiDocument(version)), { ...options, filepath: ASYNCAPI_PAGE });
}
