/** `npm run asyncapi` writes what is told and heard over the broker as AsyncAPI, for whoever generates code from it. */
import { writeFileSync } from "node:fs";
import { ASYNCAPI_PAGE, asyncApiPage } from "./asyncapi-page.ts";
import { say } from "./output.ts";

writeFileSync(ASYNCAPI_PAGE, await asyncApiPage());
say(`wrote ${ASYNCAPI_PAGE}`);
