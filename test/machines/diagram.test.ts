/**
 * The machine is the specification's diagram: contracted, exactly its states, edges and labels remain. That
 * this comparison sees something is proven by changing the documentation and the machine, edge by edge and
 * mark by mark: each change must be reported, and by its name.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { afterAll, describe, expect, it } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { arrowsFrom, contract, descendants, type Diagram, type DiagramEdge } from "../../machines/contraction.ts";
import { DOCUMENTED_STATES } from "../../machines/view.ts";
import { DIAGRAM_PAGE, diagramPage, README, withDiagram } from "../../scripts/diagram-pages.ts";
import { differences, documentedDiagram, documentOf, nameOf } from "../support/documented-diagram.ts";
import { configAt, mutant, withoutTransitions, type NodeConfig } from "../support/machine-mutants.ts";

const SPECIFICATION = readFileSync("docs/specification.md", "utf8");
const SPECIFICATION_SHA256 = "5a9e5dba9e9aefd0be806ec5c0c5399792fc56c221a393eab5891288575b4c0c";

const documented = documentedDiagram(SPECIFICATION);
const contracted = contract(checkoutMachine);
const nodes = descendants(checkoutMachine.root);

const documentedNode = new Map<string, AnyStateNode>(
  nodes.filter((node) => DOCUMENTED_STATES.some((state) => state === node.key)).map((node) => [node.key, node]),
);
const absentEdges = ["[*]", ...documented.states]
  .flatMap((from) => [...documented.states, "[*]"].map((to) => ({ from, to, label: null })))
  .filter(({ from, to }) => !(from === "[*]" && to === "[*]"))
  .filter((edge) => !documented.edges.some((drawn) => nameOf(drawn) === nameOf(edge)));

const tally = new Map<string, { seen: number; detected: number }>();

/** Counts one mutation; it is detected when one of the differences, or the refusal, says `expected`. */
function expectDetected(kind: string, expected: string, compare: () => readonly string[]): void {
  const counts = tally.get(kind) ?? { seen: 0, detected: 0 };
  tally.set(kind, counts);
  counts.seen += 1;
  const found = reported(compare);
  expect(found.join("\n")).toContain(expected);
  counts.detected += 1;
}

/** A machine that is refused is detected too; the reason must name the change as well. */
function reported(compare: () => readonly string[]): readonly string[] {
  try {
    return compare();
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

afterAll(() => {
  const counts = [...tally].map(([kind, { seen, detected }]) => `${kind} ${detected}/${seen} detected`);
  process.stdout.write(`diagram mutations: ${counts.join(" · ")}\n`);
});

const machineDiffers = (machine: () => AnyStateMachine) => () => differences(documented, contract(machine()));
const documentDiffers = (changed: Diagram) => () => differences(documentedDiagram(documentOf(changed)), contracted);

describe("the machine and the specification", () => {
  it("have the same states, edges and labels", () => {
    expect(differences(documented, contracted)).toEqual([]);
    expect([...contracted.states].sort()).toEqual([...documented.states].sort());
    expect(contracted.edges.map(nameOf).sort()).toEqual(documented.edges.map(nameOf).sort());
  });

  it("agree on the label of each transition; beginning and ends have none in a machine", () => {
    const transitions = (diagram: Diagram) =>
      diagram.edges.filter(({ from, to }) => from !== "[*]" && to !== "[*]").map((edge) => `${nameOf(edge)}: ${edge.label}`);
    expect(transitions(contracted).sort()).toEqual(transitions(documented).sort());
  });

  it("the specification stands in the docs as it was given", () => {
    expect(createHash("sha256").update(SPECIFICATION).digest("hex")).toBe(SPECIFICATION_SHA256);
  });

  it("the documented diagram is read with its states, edges and labels", () => {
    expect(new Set(documented.states)).toEqual(new Set(DOCUMENTED_STATES));
    expect(documented.edges).toHaveLength(14);
    expect(documented.edges.every(({ label }) => label !== null)).toBe(true);
    expect(documented.edges[0]).toEqual({ from: "[*]", to: "INITIALIZED", label: "Request received" });
    expect(documentedDiagram(documentOf(documented))).toEqual(documented);
    expect(() => documentedDiagram(documentOf(documented).replace("-->", "->"))).toThrow("not an edge");
    expect(() => documentedDiagram("no diagram")).toThrow("0 state diagrams");
  });

  it("are shown by the pages as they are", () => {
    expect(readFileSync(DIAGRAM_PAGE, "utf8")).toBe(diagramPage());
    if (existsSync(README)) expect(readFileSync(README, "utf8")).toBe(withDiagram(readFileSync(README, "utf8")));
  });
});

// Contracted, these look like documented edges or like none: what the comparison can't see is stated here.
describe("inside PROCESSING", () => {
  const undoing = checkoutMachine.getStateNodeById("checkout.PROCESSING.undoing");
  const opening = checkoutMachine.getStateNodeById("checkout.PROCESSING.opening");
  const isIn = (group: AnyStateNode, node: AnyStateNode) => [group, ...descendants(group)].includes(node);
  const arrows = nodes.flatMap(arrowsFrom);

  it("nothing leads from the undoing back to a step", () => {
    const targets = arrows.filter(({ source }) => isIn(undoing, source)).map(({ target }) => target);
    expect(targets.filter((target) => !isIn(undoing, target) && target.key !== "ROLLEDBACK")).toEqual([]);
  });

  it("a step leads to no other refinement of PROCESSING than the undoing", () => {
    const outside = (node: AnyStateNode) => !isIn(opening, node) && !isIn(undoing, node);
    const back = arrows.filter(({ source, target }) => outside(source) && isIn(opening, target));
    expect(back).toEqual([]);
  });

  it("only the opening leads to STEP_1", () => {
    const first = arrows.filter(({ target }) => target.key === "STEP_1").map(({ source }) => source);
    expect(first.length).toBeGreaterThan(0);
    expect(first.filter((source) => !isIn(opening, source))).toEqual([]);
  });
});

describe("a change of the documentation is reported", () => {
  it.each(documented.edges.map((edge) => [nameOf(edge), edge] as const))("without %s", (name, edge) => {
    const changed = { ...documented, edges: documented.edges.filter((other) => other !== edge) };
    expectDetected("documented edges removed", `the documentation lacks ${name}`, documentDiffers(changed));
  });

  it.each(absentEdges.map((edge) => [nameOf(edge), edge] as const))("with %s", (name, edge) => {
    const changed = { ...documented, edges: [...documented.edges, edge] };
    expectDetected("documented edges added", `the machine lacks ${name}`, documentDiffers(changed));
  });

  it.each(contracted.edges.filter(({ label }) => label !== null).map((edge) => [nameOf(edge)]))("with %s relabelled", (name) => {
    const edges = documented.edges.map((other) => (nameOf(other) === name ? { ...other, label: "Something else" } : other));
    expectDetected("labels changed", `${name} is "Something else"`, documentDiffers({ ...documented, edges }));
  });
});

describe("a change of the machine is reported", () => {
  it.each(contracted.edges.map((edge) => [nameOf(edge), edge] as const))("without %s", (name, edge) => {
    const expected = edge.from === "[*]" ? "No initial state specified" : `the machine lacks ${name}`;
    expectDetected(
      "machine edges removed",
      expected,
      machineDiffers(() => withoutEdge(edge)),
    );
  });

  // A self-edge can't be planted: inside one state the chart refines as it likes.
  it.each(absentEdges.filter(({ from, to }) => from !== to).map((edge) => [nameOf(edge), edge] as const))(
    "with %s",
    (name, edge) => {
      // XState begins at a child of the root: deeper, the edge is the root's to PROCESSING and on from there.
      const expected = edge.from === "[*]" ? "the machine lacks [*] --> INITIALIZED" : `the documentation lacks ${name}`;
      const outcomes = machinesWith(edge).map((machine) => machineDiffers(() => machine));
      for (const outcome of outcomes) expect(reported(outcome)).toContain(expected);
      expectDetected("machine edges added", expected, () => outcomes.flatMap((outcome) => outcome()));
    },
  );

  it.each(nodes.map((node) => [node.id, node] as const))("without the mark of %s", (id, node) => {
    const unmarked = () => mutant(checkoutMachine, (root) => delete configAt(root, node.path).meta);
    expectDetected("marks removed", `"${id}" says nothing`, machineDiffers(unmarked));
  });

  it.each(nodes.map((node) => [node.id, node] as const))("with a wrong mark of %s", (id, node) => {
    const right = (node.meta as { readonly refines: string }).refines;
    const meta = { refines: right };
    const mismarked = mutant(checkoutMachine, (root) => (configAt(root, node.path).meta = meta));
    expect(reported(machineDiffers(() => mismarked))).toEqual([]);
    for (const wrong of [...DOCUMENTED_STATES, "SHIPPED", "[*]"].filter((state) => state !== right)) {
      meta.refines = wrong;
      expectDetected(
        "marks changed",
        `State node "${id}" says`,
        machineDiffers(() => mismarked),
      );
    }
  });
});

function withoutEdge({ from, to }: DiagramEdge): AnyStateMachine {
  if (from === "[*]") return mutant(checkoutMachine, (root) => delete root.initial);
  if (to === "[*]") return mutant(checkoutMachine, (root) => (configAt(root, pathOf(from)).tags = []));
  const refines = (node: AnyStateNode) => (node.meta as { readonly refines: string }).refines;
  return withoutTransitions(checkoutMachine, nodes, (source, target) => refines(source) === from && refines(target) === to);
}

/** The edge planted at the documented state itself, and at the innermost state that refines it. */
function machinesWith({ from, to }: DiagramEdge): AnyStateMachine[] {
  if (from === "[*]") return [mutant(checkoutMachine, (root) => beginAt(root, pathOf(to)))];
  if (to === "[*]") return [mutant(checkoutMachine, (root) => (configAt(root, pathOf(from)).tags = ["finished"]))];
  const innermost = nodes.filter((node) => (node.meta as { readonly refines: string }).refines === from).at(-1);
  return [pathOf(from), innermost?.path ?? []].map((path) =>
    mutant(checkoutMachine, (root) => {
      const config = configAt(root, path);
      config.on = { ...config.on, PLANTED: `#checkout.${pathOf(to).join(".")}` };
    }),
  );
}

function beginAt(root: NodeConfig, path: readonly string[]): void {
  path.forEach((key, depth) => (configAt(root, path.slice(0, depth)).initial = key));
}

function pathOf(state: string): readonly string[] {
  const node = documentedNode.get(state);
  if (node === undefined) throw new Error(`the machine has no state ${state}`);
  return node.path;
}
