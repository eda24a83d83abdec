/** A CheckoutOrchestrator that does nothing but record what the edge asks of it and answer as it is told. */
import type { PaymentNewsEvent } from "../../machines/events.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { CheckoutSummary, JournalEntry, LedgerEntry, PublishedEvent, Receipt } from "../../persistence/store.ts";
import type { AttemptCommand, AttemptResult, ResolveCommand } from "../../runtime/commands.ts";
import type { InitiateCommand, InitiateResult } from "../../runtime/initiation.ts";
import type { CheckoutOrchestrator } from "../../runtime/orchestrator.ts";
import type { StoredView } from "../../runtime/stored-views.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";

export interface FakeOrchestrator extends CheckoutOrchestrator {
  /** Every initiate that reached it, in order. */
  readonly initiated: InitiateCommand[];
  /** Ids asked for by `view`, in order. */
  readonly viewed: string[];
  /** What initiate comes to; replace it to answer otherwise or to throw. */
  onInitiate: (command: InitiateCommand) => Promise<InitiateResult>;
  /** As `initiated` and `onInitiate`, for everything else that changes something. */
  readonly cancelled: { readonly id: string; readonly waitMs: number }[];
  readonly attempted: AttemptCommand[];
  readonly resolved: ResolveCommand[];
  readonly received: { readonly source: string; readonly event: PaymentNewsEvent }[];
  onCancel: () => Promise<CheckoutView>;
  onAttempt: () => Promise<AttemptResult>;
  onResolve: () => Promise<CheckoutView>;
  onReceive: () => Promise<Receipt>;
  readonly redriven: string[];
  readonly published: Map<string, PublishedEvent[]>;
  readonly ledgers: Map<string, LedgerEntry[]>;
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
    cancelled: [],
    attempted: [],
    resolved: [],
    received: [],
    redriven: [],
    published: new Map(),
    ledgers: new Map(),
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
    onCancel: () => unprepared("onCancel"),
    onAttempt: () => unprepared("onAttempt"),
    onResolve: () => unprepared("onResolve"),
    onReceive: async () => ({ isNew: true, isContradiction: false, contextId: null }),
    async cancel(id, waitMs) {
      fake.cancelled.push({ id, waitMs });
      return fake.onCancel();
    },
    async attemptPayment(command) {
      fake.attempted.push(command);
      return fake.onAttempt();
    },
    async resolve(command) {
      fake.resolved.push(command);
      return fake.onResolve();
    },
    async receivePayment(source, event) {
      const receipt = await fake.onReceive();
      fake.received.push({ source, event });
      return receipt;
    },
    async events(id) {
      return fake.published.get(id) ?? [];
    },
    async redrive(id) {
      fake.redriven.push(id);
      return fake.published.has(id);
    },
    async ledger(id) {
      return fake.ledgers.get(id) ?? [];
    },
    async view(id) {
      fake.viewed.push(id);
      return fake.views.get(id) ?? null;
    },
    async viewAt(id, seq) {
      const entry = (fake.journals.get(id) ?? []).find((one) => one.seq === seq);
      const stored = fake.views.get(id);
      return entry === undefined || stored === undefined ? null : { entry, view: { ...stored.view, seq } };
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

function unprepared(name: string): Promise<never> {
  return Promise.reject(new Error(`The test did not say what ${name} comes to.`));
}
