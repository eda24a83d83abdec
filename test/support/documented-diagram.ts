/** The specification's state diagram, as parsed from its Mermaid block, and how it differs from another one. */
import type { Diagram, DiagramEdge } from "../../machines/contraction.ts";

const BLOCK = /```mermaid\r?\n\s*stateDiagram-v2\r?\n([\s\S]*?)```/g;
const EDGE = /^(\[\*\]|\w+)\s*-->\s*(\[\*\]|\w+)\s*(?::\s*(.+))?$/;

/** The one state diagram in `markdown`. A line that isn't understood fails: what is skipped is never compared. */
export function documentedDiagram(markdown: string): Diagram {
  const blocks = [...markdown.matchAll(BLOCK)];
  const body = blocks[0]?.[1];
  if (body === undefined || blocks.length > 1) throw new Error(`${blocks.length} state diagrams where one was expected`);
  const lines = body.split("\n").map((line) => line.trim());
  const edges = lines.filter((line) => line !== "").map(edgeOf);
  const states = new Set(edges.flatMap(({ from, to }) => [from, to]).filter((name) => name !== "[*]"));
  return { states: [...states], edges };
}

function edgeOf(line: string): DiagramEdge {
  const [, from, to, label] = EDGE.exec(line) ?? [];
  if (from === undefined || to === undefined) throw new Error(`not an edge of a state diagram: ${line}`);
  return { from, to, label: label?.trim() ?? null };
}

/** The inverse of `documentedDiagram`, for documents that say something else. */
export function documentOf(diagram: Diagram): string {
  const lines = diagram.edges.map(({ from, to, label }) => `    ${from} --> ${to}${label === null ? "" : `: ${label}`}`);
  return ["```mermaid", "stateDiagram-v2", ...lines, "```", ""].join("\n");
}

/** Each state or edge that only one of both has, and each label of the machine's that the documentation words otherwise. */
export function differences(documented: Diagram, machine: Diagram): string[] {
  const missing = (from: readonly string[], among: readonly string[]) => from.filter((name) => !among.includes(name));
  const [drawn, realised] = [documented.edges.map(nameOf), machine.edges.map(nameOf)];
  return [
    ...missing(documented.states, machine.states).map((state) => `the machine lacks the state ${state}`),
    ...missing(machine.states, documented.states).map((state) => `the documentation lacks the state ${state}`),
    ...missing(drawn, realised).map((edge) => `the machine lacks ${edge}`),
    ...missing(realised, drawn).map((edge) => `the documentation lacks ${edge}`),
    ...machine.edges.flatMap((edge) => wordedOtherwise(edge, documented)),
  ];
}

function wordedOtherwise(edge: DiagramEdge, documented: Diagram): string[] {
  const drawn = documented.edges.find((other) => nameOf(other) === nameOf(edge));
  if (drawn === undefined || edge.label === null || drawn.label === edge.label) return [];
  return [`${nameOf(edge)} is "${String(drawn.label)}" in the documentation and "${edge.label}" in the machine`];
}

export function nameOf({ from, to }: Pick<DiagramEdge, "from" | "to">): string {
  return `${from} --> ${to}`;
}
