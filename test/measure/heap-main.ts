/** The service, which writes into a file, named on standard input, how much of its heap is in use once it is collected. */
import { renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pino from "pino";
import { loadConfig } from "../../server/config.ts";
import { serve } from "../../server/serve.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

createInterface({ input: process.stdin }).on("line", (file) => {
  // What the first one lets go by a finaliser, the second one takes.
  collect();
  collect();
  writeFileSync(`${file}.new`, String(process.memoryUsage().heapUsed));
  renameSync(`${file}.new`, file);
});

const { url } = await serve(loadConfig(process.env), pino({ level: "warn" }));
process.stdout.write(`checkoutd  ${url}\n`);
