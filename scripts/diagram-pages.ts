/** The pages that show the machine's diagrams, made from the machine. */
import { checkoutMachine } from "../machines/checkout.ts";
import { contractedDiagram, refinedDiagram } from "../machines/diagram.ts";

export const DIAGRAM_PAGE = "docs/diagram.md";
export const README = "README.md";

const BEGIN = "<!-- diagram:begin -->";
const END = "<!-- diagram:end -->";

export function diagramPage(): string {
  return [
    "# The checkout's state diagram",
    "<!-- Written by `npm run diagram`; edit machines/ instead. -->",
    "## As the specification draws it",
    "What remains of the machine when each state is replaced by the documented state that it refines. " +
      "`test/machines/diagram.test.ts` proves that these are exactly the states and edges of [the specification](specification.md).",
    fenced(contractedDiagram(checkoutMachine)),
    "## With every refinement",
    "The machine that runs: each step with its retries, the settlement, the undoing and the refunds of late money. " +
      "A transition into or out of the middle of a group is drawn at the group's border (`→` names the state that it leads to), " +
      "and events that only record something are left out.",
    `${fenced(refinedDiagram(checkoutMachine))}\n`,
  ].join("\n\n");
}

/** `readme` with the diagram between its marks; as it was when it has none. */
export function withDiagram(readme: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END, begin);
  if (begin === -1 || end === -1) return readme;
  const block = `${BEGIN}\n\n${fenced(contractedDiagram(checkoutMachine))}\n\n`;
  return readme.slice(0, begin) + block + readme.slice(end);
}

function fenced(diagram: string): string {
  return `\`\`\`mermaid\n${diagram}\n\`\`\``;
}
