/** Machines that differ from the real one in one place: its configuration is copied, changed and built again. */
import { createMachine, type AnyStateMachine, type AnyStateNode } from "xstate";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import { arrowsFrom } from "../../machines/contraction.ts";

/** A state's configuration, as far as the mutations look into it. */
export interface NodeConfig {
  initial?: string;
  tags?: readonly string[] | string;
  meta?: { readonly refines?: string };
  states?: Record<string, NodeConfig>;
  on?: Record<string, unknown>;
  after?: Record<string, unknown>;
  always?: unknown;
  onDone?: unknown;
  invoke?: { id?: string; src?: unknown; input?: unknown; onDone?: unknown; onError?: unknown };
}

/** `machine` after `change` was made to a copy of its configuration. */
export function mutant(machine: AnyStateMachine, change: (root: NodeConfig) => void): AnyStateMachine {
  const root = copied(machine.config) as NodeConfig;
  change(root);
  return createMachine(root as Parameters<typeof createMachine>[0]);
}

/** The checkout's machine after `change` was made to a copy of its configuration, with its guards, actions and actors. */
export function changedMachine(change: (root: NodeConfig) => void): CheckoutMachine {
  return mutant(checkoutMachine, change).provide(checkoutMachine.implementations as never) as AnyStateMachine as CheckoutMachine;
}

export function configAt(root: NodeConfig, path: readonly string[]): NodeConfig {
  return path.reduce((config, key) => {
    const child = config.states?.[key];
    if (child === undefined) throw new Error(`no state ${path.join(".")}`);
    return child;
  }, root);
}

/** `root` with the state at `path` under another name, and with every target that names it. */
export function renameState(root: NodeConfig & { readonly id?: string }, path: readonly string[], name: string): void {
  const parent = configAt(root, path.slice(0, -1));
  const states = Object.entries(parent.states ?? {});
  parent.states = Object.fromEntries(states.map(([key, config]) => [key === path.at(-1) ? name : key, config]));
  const target = (names: readonly string[]) => `#${[root.id, ...names].join(".")}`;
  retarget(root, target(path), target([...path.slice(0, -1), name]));
}

function retarget(config: object, from: string, to: string): void {
  for (const [key, value] of Object.entries(config)) {
    if (typeof value === "object" && value !== null) retarget(value as object, from, to);
    else if (value === from || (typeof value === "string" && value.startsWith(`${from}.`)))
      Object.assign(config, { [key]: to + value.slice(from.length) });
  }
}

/** Without each transition of `machine` that `isRemoved`. */
export function withoutTransitions(
  machine: AnyStateMachine,
  nodes: readonly AnyStateNode[],
  isRemoved: (source: AnyStateNode, target: AnyStateNode) => boolean,
): AnyStateMachine {
  return mutant(machine, (root) => {
    for (const source of nodes) {
      const removed = arrowsFrom(source).filter(({ target }) => isRemoved(source, target));
      if (removed.length > 0)
        removeTransitions(
          configAt(root, source.path),
          source,
          removed.map(({ target }) => target),
        );
    }
  });
}

function removeTransitions(config: NodeConfig, source: AnyStateNode, targets: readonly AnyStateNode[]): void {
  const keep = (transition: unknown) => !targets.some((target) => leadsTo(transition, source, target));
  for (const map of [config.on, config.after]) {
    for (const [key, value] of Object.entries(map ?? {})) {
      const rest = [value].flat().filter(keep);
      if (map !== undefined && rest.length === 0) delete map[key];
      else if (map !== undefined) map[key] = rest;
    }
  }
  for (const holder of [config, config.invoke]) {
    if (holder?.onDone !== undefined) holder.onDone = [holder.onDone].flat().filter(keep);
  }
  if (config.invoke?.onError !== undefined) config.invoke.onError = [config.invoke.onError].flat().filter(keep);
  if (config.always !== undefined) config.always = [config.always].flat().filter(keep);
}

/** Read as XState reads a target: by id, into itself, or beside itself. */
function leadsTo(transition: unknown, source: AnyStateNode, target: AnyStateNode): boolean {
  const name = typeof transition === "string" ? transition : (transition as { readonly target?: unknown } | undefined)?.target;
  if (typeof name !== "string") return false;
  if (name.startsWith("#")) return name.slice(1) === target.id;
  const base = name.startsWith(".") ? source.id : source.parent?.id;
  return `${base}.${name.replace(/^\./, "")}` === target.id;
}

/** Functions are shared, everything that could be changed is not. */
function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copied);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copied(inner)]));
}
