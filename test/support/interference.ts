/** Stands between the steps and the participants: records each call, and lets a test break or hold any of them. */
import type { CheckoutServices } from "../../steps/services.ts";

type Participant = Exclude<keyof CheckoutServices, "rules">;

export interface ObservedCall {
  readonly operation: string;
  readonly executionContextId: string;
  readonly key: string;
  readonly args?: readonly unknown[];
}

export class Interference {
  /** Every call that a participant got, in order, whatever came of it. */
  readonly calls: ObservedCall[] = [];
  /** Around the call of that name; may throw or wait. */
  readonly before = new Map<string, () => Promise<void> | void>();
  readonly after = new Map<string, () => Promise<void> | void>();

  around = (services: CheckoutServices): CheckoutServices => {
    const watched = (name: Participant) => this.watch(services[name]);
    return {
      rules: services.rules,
      flags: watched("flags"),
      paymentGroups: watched("paymentGroups"),
      preferences: watched("preferences"),
      invoices: watched("invoices"),
      orders: watched("orders"),
      optIns: watched("optIns"),
      lineItems: watched("lineItems"),
      payments: watched("payments"),
    } as CheckoutServices;
  };

  /** The undos of one checkout, in the order of their first tries. */
  undosOf(executionContextId: string): readonly string[] {
    const undos = this.calls.filter((call) => call.executionContextId === executionContextId && isUndo(call.operation));
    return [...new Set(undos.map(({ operation }) => operation))];
  }

  countOf(executionContextId: string, operation: string): number {
    return this.calls.filter((call) => call.executionContextId === executionContextId && call.operation === operation).length;
  }

  /** The first such call as it was given, to deliver it once more: only that nobody has given it up. */
  callOf(executionContextId: string, operation: string): object {
    const found = this.calls.find((call) => call.executionContextId === executionContextId && call.operation === operation);
    if (found === undefined) throw new Error(`${operation} was never called.`);
    return { ...(found.args?.[0] as object), signal: undefined };
  }

  clear(): void {
    this.before.clear();
    this.after.clear();
  }

  /** The same for any other port of promises. */
  watch<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name, target);
        if (typeof method !== "function" || typeof name !== "string") return method;
        return async (...args: readonly unknown[]) => {
          const { executionContextId = "", key = "" } = (args[0] ?? {}) as Partial<ObservedCall>;
          this.calls.push({ operation: name, executionContextId, key, args });
          await this.before.get(name)?.();
          const result: unknown = await method.call(target, ...args);
          await this.after.get(name)?.();
          return result;
        };
      },
    });
  }
}

function isUndo(operation: string): boolean {
  return operation.startsWith("undo") || operation === "reversePaymentRequest";
}
