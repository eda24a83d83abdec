/** The machine as Mermaid draws it: as the specification has it, and with all its refinements. Pure. */
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { arrowsFrom, type Arrow, childrenOf, contract, descendants, initialTargets, OUTSIDE } from "./contraction.ts";

const HEAD = "stateDiagram-v2";
const INDENT = "    ";

/** The documented states and edges, as the machine realises them. */
export function contractedDiagram(machine: AnyStateMachine): string {
  const lines = contract(machine).edges.map(({ from, to, label }) => edgeLine(from, to, label ?? ""));
  return [HEAD, ...indented(lines)].join("\n");
}

/** Every state and transition, as nested composite states. */
export function refinedDiagram(machine: AnyStateMachine): string {
  const edges = drawnEdges(machine);
  return [HEAD, ...indented(insideOf(machine.root, edges))].join("\n");
}

/**
 * Mermaid draws no edge across the border of a composite state, so each transition is drawn between the
 * two states, side by side, that hold its source and its target.
 */
interface DrawnEdge {
  readonly within: AnyStateNode;
  readonly from: AnyStateNode;
  readonly to: AnyStateNode;
  readonly arrow: Arrow;
}

function drawnEdges(machine: AnyStateMachine): DrawnEdge[] {
  return descendants(machine.root)
    .flatMap(arrowsFrom)
    .flatMap((arrow) => sidesOf(arrow).map((sides) => ({ ...sides, arrow })));
}

function sidesOf({ source, target }: Arrow): Omit<DrawnEdge, "arrow">[] {
  const down = [...ancestorsOf(source), source];
  const goal = [...ancestorsOf(target), target];
  const depth = down.findIndex((node, index) => node !== goal[index]);
  // Into one of its own children: drawn from each of the others, because any of them may be the one that is left.
  if (depth === -1) return childrenOf(source).flatMap((child) => (child === target ? [] : sidesOf(plain(child, target))));
  const [within, from, to] = [down[depth - 1], down[depth], goal[depth]];
  // Begins a state around it again: drawn to where that state begins.
  if (to === undefined) return initialTargets(target).map((initial) => ({ within: target, from: from ?? source, to: initial }));
  return within === undefined || from === undefined ? [] : [{ within, from, to }];
}

function plain(source: AnyStateNode, target: AnyStateNode): Arrow {
  return { source, target, eventType: "", guard: undefined, description: undefined };
}

function insideOf(node: AnyStateNode, edges: readonly DrawnEdge[]): string[] {
  const children = childrenOf(node);
  const isSmall = children.every((child) => childrenOf(child).length === 0);
  return [
    ...(isSmall ? ["direction LR"] : []),
    ...initialTargets(node).map((initial) => edgeLine(OUTSIDE, idOf(initial), "")),
    ...children.flatMap((child) => stateLines(child, edges)),
    ...labelled(edges.filter(({ within }) => within === node)),
    ...children.filter((child) => child.tags.includes("finished")).map((child) => edgeLine(idOf(child), OUTSIDE, "")),
  ];
}

function stateLines(node: AnyStateNode, edges: readonly DrawnEdge[]): string[] {
  const name = `state "${node.key}" as ${idOf(node)}`;
  return childrenOf(node).length === 0 ? [name] : [`${name} {`, ...indented(insideOf(node, edges)), "}"];
}

/** One line for each pair of states: what happens, gathered by the condition under which it leads there. */
function labelled(edges: readonly DrawnEdge[]): string[] {
  const pairs = new Map<string, DrawnEdge[]>();
  for (const edge of edges) {
    const pair = `${idOf(edge.from)} ${idOf(edge.to)}`;
    pairs.set(pair, [...(pairs.get(pair) ?? []), edge]);
  }
  return [...pairs.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [edgeLine(idOf(first.from), idOf(first.to), labelOf(group))];
  });
}

function labelOf(edges: readonly DrawnEdge[]): string {
  const byCondition = new Map<string, Set<string>>();
  for (const edge of edges) {
    const condition = conditionOf(edge);
    byCondition.set(condition, (byCondition.get(condition) ?? new Set()).add(happening(edge.arrow)));
  }
  return [...byCondition].map(([condition, events]) => [...events].join(", ") + condition).join(" / ");
}

/** The guard; then where exactly it leads, when that is a state inside the one that is drawn. */
function conditionOf({ to, arrow: { guard, target } }: DrawnEdge): string {
  const isInside = target !== to && ancestorsOf(target).includes(to);
  return `${guard === undefined ? "" : ` [${guardName(guard)}]`}${isInside ? ` → ${target.key}` : ""}`;
}

function guardName(guard: unknown): string {
  return typeof guard === "string" ? guard : String((guard as { readonly type?: unknown }).type);
}

/** The specification's label where there is one, otherwise the event in short. */
function happening({ eventType, description }: Arrow): string {
  if (description !== undefined) return description;
  if (eventType.startsWith("xstate.done.")) return "done";
  if (eventType.startsWith("xstate.error.")) return "error";
  if (eventType.startsWith("xstate.after.")) return `after ${eventType.split(".")[2] ?? ""}`;
  return eventType.replace("payment_collection_requirement_", "PCR ");
}

/** Ids are global in Mermaid, names as `running` are not. Documented states keep theirs. */
function idOf(node: AnyStateNode): string {
  const documented = node.path.findLastIndex((key) => key === key.toUpperCase());
  return node.path.slice(Math.max(0, documented)).join("_");
}

function ancestorsOf(node: AnyStateNode): AnyStateNode[] {
  return node.parent === undefined ? [] : [...ancestorsOf(node.parent), node.parent];
}

function edgeLine(from: string, to: string, label: string): string {
  return label === "" ? `${from} --> ${to}` : `${from} --> ${to}: ${label}`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => INDENT + line);
}
