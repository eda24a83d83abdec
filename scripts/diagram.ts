/** `npm run diagram` writes the pages that show the machine; with `--check` it only says whether they are current. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { DIAGRAM_PAGE, diagramPage, README, withDiagram } from "./diagram-pages.ts";

const isCheck = process.argv.includes("--check");

settle(DIAGRAM_PAGE, textOf(DIAGRAM_PAGE), diagramPage());
if (existsSync(README)) settle(README, textOf(README), withDiagram(textOf(README)));

function settle(path: string, found: string, wanted: string): void {
  if (found === wanted) return;
  if (isCheck) {
    console.error(`${path} does not show the machine as it is: run \`npm run diagram\`.`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, wanted);
    console.log(`wrote ${path}`);
  }
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
