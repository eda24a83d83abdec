/**
 * The refined chart, read back as the specification draws it: every state node is replaced by the
 * documented state that it refines, and what then happens inside one state disappears.
 */
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { DOCUMENTED_STATES, type DocumentedState } from "./view.ts";

/** Where the diagram begins, and what its ends lead to. */
export const OUTSIDE = "[*]";

export interface DiagramEdge {
  readonly from: string;
  readonly to: string;
  /** Null: not labelled. */
  readonly label: string | null;
}

export interface Diagram {
  readonly states: readonly string[];
  readonly edges: readonly DiagramEdge[];
}

/** One transition to one of its targets. */
export interface Arrow {
  readonly source: AnyStateNode;
  readonly target: AnyStateNode;
  readonly eventType: string;
  readonly guard: unknown;
  readonly description: string | undefined;
}

/**
 * The documented states and the edges between them that `machine` realises. Throws, naming the node,
 * when a node's mark is missing, isn't a documented state, or contradicts where the node stands.
 */
export function contract(machine: AnyStateMachine): Diagram {
  const nodes = descendants(machine.root);
  const refined = new Map(nodes.map((node) => [node, refinedBy(node)]));
  const named = (node: AnyStateNode) => refined.get(node) ?? OUTSIDE;

  const edges: DiagramEdge[] = [];
  for (const node of [machine.root, ...nodes]) {
    for (const initial of initialTargets(node)) edges.push({ from: named(node), to: named(initial), label: null });
    for (const { source, target, description } of arrowsFrom(node)) {
      if (!isWithinAncestor(target, source, named)) {
        edges.push({ from: named(source), to: named(target), label: description ?? null });
      }
    }
    if (node.type === "final" || node.tags.includes("finished")) edges.push({ from: named(node), to: OUTSIDE, label: null });
  }
  const present = new Set(refined.values());
  return { states: DOCUMENTED_STATES.filter((state) => present.has(state)), edges: merged(edges) };
}

/** Every node below `node`, parents before children, in the order of the chart. */
export function descendants(node: AnyStateNode): AnyStateNode[] {
  return childrenOf(node).flatMap((child) => [child, ...descendants(child)]);
}

export function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states);
}

/** Where `node` begins; XState gives a parallel node's regions the same way. */
export function initialTargets(node: AnyStateNode): readonly AnyStateNode[] {
  return node.type === "compound" ? (node.initial.target ?? []) : childrenOf(node).filter(() => node.type === "parallel");
}

/** Every way out of `node` itself: events, outcomes of its actor, timers. Transitions without a target stay where they are. */
export function arrowsFrom(node: AnyStateNode): Arrow[] {
  return [...[...node.transitions.values()].flat(), ...(node.always ?? [])].flatMap((transition) =>
    (transition.target ?? []).map((target) => ({
      source: node,
      target,
      eventType: transition.eventType,
      guard: transition.guard as unknown,
      description: transition.description,
    })),
  );
}

/** A refinement may not claim another state than the one that it is drawn in: containment is what refining means. */
function refinedBy(node: AnyStateNode): DocumentedState {
  const mark = markOf(node);
  const owner = isDocumented(node.key) ? node.key : node.parent?.parent === undefined ? mark : markOf(node.parent);
  if (mark !== owner) throw new Error(`State node "${node.id}" says that it refines ${mark}, but it belongs to ${owner}.`);
  return mark;
}

function markOf(node: AnyStateNode): DocumentedState {
  const mark = (node.meta as { readonly refines?: unknown } | undefined)?.refines;
  if (isDocumented(mark)) return mark;
  const found = mark === undefined ? "nothing" : JSON.stringify(mark);
  throw new Error(
    `State node "${node.id}" says ${found} where it must name the documented state that it refines (meta.refines).`,
  );
}

function isDocumented(name: unknown): name is DocumentedState {
  return (DOCUMENTED_STATES as readonly unknown[]).includes(name);
}

/**
 * From a state into a refinement of its own ancestor (STEP_3 → undoing): the ancestor was never left. The
 * ancestor's own node is not such a refinement: going there would begin it again, and that is an edge.
 */
function isWithinAncestor(target: AnyStateNode, source: AnyStateNode, named: (node: AnyStateNode) => string): boolean {
  const ancestors = new Set<string>();
  for (let node = source.parent; node?.parent !== undefined; node = node.parent) ancestors.add(named(node));
  return ancestors.has(named(target)) && target.key !== named(target);
}

/** One edge for each pair, without self-edges, in the order of their targets. Its transitions have one label between them. */
function merged(edges: readonly DiagramEdge[]): DiagramEdge[] {
  const byPair = new Map<string, DiagramEdge>();
  for (const edge of edges.filter(({ from, to }) => from !== to)) {
    const pair = `${edge.from} --> ${edge.to}`;
    const label = byPair.get(pair)?.label ?? null;
    if (label !== null && edge.label !== null && label !== edge.label) {
      throw new Error(`The transitions of ${pair} are described differently: "${label}" and "${edge.label}".`);
    }
    byPair.set(pair, { ...edge, label: label ?? edge.label });
  }
  const order = (edge: DiagramEdge) => [...DOCUMENTED_STATES, OUTSIDE].indexOf(edge.to);
  return [...byPair.values()].sort((left, right) => order(left) - order(right));
}
