-- What drizzle can't express. Room on each page for the next version of a row: with it, a happy-path
-- commit is a HOT update, which touches no index.
ALTER TABLE checkoutd.contexts SET (fillfactor = 50);
--> statement-breakpoint
-- Rows change often and stay few pages: vacuum by a fifth of the default's share.
ALTER TABLE checkoutd.contexts SET (autovacuum_vacuum_scale_factor = 0.04);
--> statement-breakpoint
ALTER TABLE checkoutd.outbox SET (fillfactor = 80);
--> statement-breakpoint
COMMENT ON TABLE checkoutd.contexts IS 'One row per checkout. Written by its owner''s commits, checked by seq and fence, except where a column says otherwise.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.fence IS 'Written by claims only; each claim issues the next number.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.owner IS 'Written by create, claims (a node), passivation and parking (null).';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.wake_at IS 'Written by the owner''s commits only, and only when it changes.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.signals IS 'Written by whoever puts a row into the inbox, in the same transaction; and by the owner''s commit that learns a PCR, for what had arrived before it.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.consumed IS 'Written by the owner''s commit that consumes inbox rows.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.claims_without_progress IS 'Raised by claims; set to 0 by commits and by an orderly passivation.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.parked_reason IS 'Written by park and by the sixth claim without progress; cleared by an operator.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.contexts.type_seqs IS 'Written by retention, with retained_signals.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.journal IS 'Append-only. Written by create and by the owner''s commits; what comes before the checkpoint of a finished checkout is removed by retention.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.snapshots IS 'Written by create, by the owner''s commits that are checkpoints, and by passivation.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.requests IS 'Personal data. Written by create; removed by retention and by erasure.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.idempotency_keys.answer_body IS 'Written once, by the commit that first waits for payment or ends.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.live_carts IS 'Inserted by create, deleted by the owner''s releasing commit. No TTL.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.live_payment_groups IS 'Inserted when the groups are claimed, deleted by the owner''s releasing commit. No TTL.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.cart_versions IS 'Written by create (highest_seen) and by the commit that completes (completed_*). Never deleted.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.outbox.acknowledged_at IS 'Written by the relay, after the broker''s acknowledgement.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.outbox.tries IS 'Written by the relay.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.outbox.retry_at IS 'Written by the relay; cleared by an operator.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.outbox.parked_reason IS 'Written by the relay; cleared by an operator.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.relay_shards IS 'Sixteen rows for ever. A free shard is taken by whichever node looks first; owner is changed by the owner itself while it lives, for the node in wanted_by.';
--> statement-breakpoint
INSERT INTO checkoutd.relay_shards (shard) SELECT generate_series(0, 15);
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.inbox.consumed_seq IS 'Written by the owner''s commit that consumes the row.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.inbox IS 'Written on arrival: payment events with pcr_id (null = it names none), commands with context_id.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.pcr_contexts.context_id IS 'Written once, by the commit of the first checkout that knows the PCR. Never changed.';
--> statement-breakpoint
COMMENT ON COLUMN checkoutd.pcr_contexts.arrived IS 'Written by whoever puts a payment event into the inbox, in the same transaction.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.ledger IS 'Append-only. Written by the owner''s commits.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.suspense IS 'The balance of SUSPENSE in the ledger. Written by the commit that writes the ledger''s rows.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.nodes IS 'Each row written by its own node. A lease that ended is never prolonged.';
--> statement-breakpoint
COMMENT ON TABLE checkoutd.locks IS 'Written by the SQL lock manager. A row stays after release, so that its token keeps growing.';
