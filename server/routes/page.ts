/** GET / and its two files. */
import type { App } from "../app-deps.ts";
import { PAGE_SCRIPT } from "../page-script.ts";
import { PAGE_CSP, PAGE_CSS, PAGE_HTML } from "../page.ts";

export function addPageRoutes(app: App): void {
  app.get("/", () => file(PAGE_HTML, "text/html"));
  app.get("/page.css", () => file(PAGE_CSS, "text/css"));
  app.get("/page.js", () => file(PAGE_SCRIPT, "text/javascript"));
}

/** `no-cache`: a browser may keep them, but asks again, so that a deploy is seen at once. */
function file(content: string, mediaType: string): Response {
  return new Response(content, {
    headers: {
      "Content-Type": `${mediaType}; charset=utf-8`,
      "Content-Security-Policy": PAGE_CSP,
      "Cache-Control": "no-cache",
    },
  });
}
