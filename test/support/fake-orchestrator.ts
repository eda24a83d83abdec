/** A CheckoutOrchestrator that does nothing but record what the edge asks of it and answer as it is told. */
import type { CheckoutSummary, JournalEntry } from "../../persistence/store.ts";
import type { CheckoutOrchestrator, InitiateCommand, InitiateResult, StoredView } from "../../runtime/orchestrator.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";

export interface FakeOrchestrator extends CheckoutOrchestrator {
  /** Every initiate that reached it, in order. */
  readonly initiated: InitiateCommand[];
  /** Ids asked for by `view`, in order. */
  readonly viewed: string[];
  /** What initiate comes to; replace it to answer otherwise or to throw. */
  onInitiate: (command: InitiateCommand) => Promise<InitiateResult>;
  readonly views: Map<string, StoredView>;
  readonly journals: Map<string, JournalEntry[]>;
  summaries: readonly CheckoutSummary[];
  accepting: boolean;
  /** Calls everyone who watches. */
  announce(notice: TransitionNotice): void;
  watchers(): number;
}

export function fakeOrchestrator(): FakeOrchestrator {
  const listeners = new Set<(notice: TransitionNotice) => void>();
  const fake: FakeOrchestrator = {
    initiated: [],
    viewed: [],
    views: new Map(),
    journals: new Map(),
    summaries: [],
    accepting: true,
    onInitiate: async () => ({
      kind: "answered",
      executionContextId: "ctx_1",
      answer: { status: 200, body: '{"executionContextId":"ctx_1"}' },
      replayed: false,
    }),
    async initiate(command) {
      fake.initiated.push(command);
      return fake.onInitiate(command);
    },
    async view(id) {
      fake.viewed.push(id);
      return fake.views.get(id) ?? null;
    },
    async history(id, afterSeq, limit) {
      return (fake.journals.get(id) ?? []).filter(({ seq }) => seq > afterSeq).slice(0, limit);
    },
    async list(limit) {
      return fake.summaries.slice(0, limit);
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    isAccepting: () => fake.accepting,
    announce: (notice) => {
      for (const listener of listeners) listener(notice);
    },
    watchers: () => listeners.size,
  };
  return fake;
}
