/** A bug of our own making, to find out whether the simulator would find one of somebody else's. */
import type { CheckoutMachine } from "../../../machines/checkout.ts";
import type { MemoryStore } from "../memory-store.ts";
import type { Plant } from "../plant.ts";
import type { NodeWorld } from "../node-world.ts";

export interface PlantedBug {
  readonly name: string;
  /** In a sentence: what is wrong, and where. */
  readonly breaks: string;
  /** For one run: what it remembers ends with it. */
  readonly plant: () => Plant;
  /** Why it does no harm, and no seed may find it: a control. */
  readonly harmlessBecause?: string;
}

/** The port with some of its methods replaced, whatever it is made of. */
export function replacing<Port extends object>(port: Port, methods: Partial<Port>): Port {
  return new Proxy(port, {
    get: (target, name) => {
      const replaced: unknown = Reflect.get(methods, name);
      if (replaced !== undefined) return replaced;
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

/** The store in memory itself, below every way to it: what a run's ports are made of. */
export function memoryOf({ store }: NodeWorld): MemoryStore {
  return store as MemoryStore;
}

/** A machine that is built when it is first needed, and once: to build one takes longer than many runs. */
export function machinePlant(build: () => CheckoutMachine): () => Plant {
  let plant: Plant | null = null;
  return () => (plant ??= { machine: build() });
}

// What a method takes is known where it is replaced; here it can be any.
type Method = (this: never, ...args: never[]) => unknown;

/** Replaces methods of a class until it is mended; private ones too, which is why the compiler can't look after it. */
export function patching(prototype: object, methods: Readonly<Record<string, (original: Method) => Method>>): Plant {
  return {
    install: () => {
      const originals = Object.entries(methods).map(([name, around]) => {
        const original: unknown = Reflect.get(prototype, name);
        if (typeof original !== "function") throw new Error(`There is no ${name} to plant a bug in.`);
        Reflect.set(prototype, name, around(original as Method));
        return [name, original] as const;
      });
      return () => {
        for (const [name, original] of originals) Reflect.set(prototype, name, original);
      };
    },
  };
}
