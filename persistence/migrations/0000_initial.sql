CREATE SCHEMA IF NOT EXISTS "checkoutd";
--> statement-breakpoint
CREATE TABLE "checkoutd"."checkout_orders" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"order_number" text NOT NULL,
	"user_id" text NOT NULL,
	"city_id" text NOT NULL,
	"cart_id" text NOT NULL,
	"invoice_id" text NOT NULL,
	"payable" bigint NOT NULL,
	"currency" text NOT NULL,
	"status" text NOT NULL,
	"cancel_reason" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."line_item_preferences" (
	"context_id" text NOT NULL,
	"line_item_id" text NOT NULL,
	"preference_id" text NOT NULL,
	CONSTRAINT "line_item_preferences_context_id_line_item_id_preference_id_pk" PRIMARY KEY("context_id","line_item_id","preference_id")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."line_items" (
	"id" text PRIMARY KEY NOT NULL,
	"checkout_order_id" text NOT NULL,
	"ref" text NOT NULL,
	"context_id" text NOT NULL,
	"sku" text NOT NULL,
	"quantity" integer NOT NULL,
	"seller_id" text NOT NULL,
	"payment_timing" text NOT NULL,
	"unit_price" bigint NOT NULL,
	"total" bigint NOT NULL,
	"currency" text NOT NULL,
	"payment_group_id" text NOT NULL,
	"preference_ids" jsonb NOT NULL,
	"status" text NOT NULL,
	"pcr_id" text,
	"attempt_id" text,
	"payment_status" text,
	"psp_reference" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."order_numbers" (
	"city_id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"last_number" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."payment_attempts" (
	"id" text PRIMARY KEY NOT NULL,
	"pcr_id" text NOT NULL,
	"context_id" text NOT NULL,
	"round" integer NOT NULL,
	"key" text NOT NULL,
	"method" text NOT NULL,
	"instrument_id" text NOT NULL,
	"return_url" text,
	"charge_id" text,
	"status" text DEFAULT 'OPEN' NOT NULL,
	"outcome" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."payment_captures" (
	"pcr_id" text NOT NULL,
	"psp_reference" text NOT NULL,
	"context_id" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"refunded_amount" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "payment_captures_pcr_id_psp_reference_pk" PRIMARY KEY("pcr_id","psp_reference"),
	CONSTRAINT "capture_refunded_within_captured" CHECK (0 <= "checkoutd"."payment_captures"."refunded_amount" and "checkoutd"."payment_captures"."refunded_amount" <= "checkoutd"."payment_captures"."amount")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."payment_collection_requirements" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"payer_id" text NOT NULL,
	"checkout_order_id" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"captured_amount" bigint DEFAULT 0 NOT NULL,
	"refunded_amount" bigint DEFAULT 0 NOT NULL,
	"reversed_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "pcr_refunded_within_captured" CHECK (0 <= "checkoutd"."payment_collection_requirements"."refunded_amount" and "checkoutd"."payment_collection_requirements"."refunded_amount" <= "checkoutd"."payment_collection_requirements"."captured_amount")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."payment_refunds" (
	"key" text PRIMARY KEY NOT NULL,
	"id" text NOT NULL,
	"pcr_id" text NOT NULL,
	"context_id" text NOT NULL,
	"psp_reference" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"reason" text NOT NULL,
	"round" integer NOT NULL,
	"provider_refund_id" text,
	"accepted_at" timestamp with time zone,
	"failed_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "refund_round_from_one" CHECK ("checkoutd"."payment_refunds"."round" >= 1)
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."provider_captures" (
	"pcr_id" text NOT NULL,
	"psp_reference" text NOT NULL,
	"charge_id" text,
	"context_id" text,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"refunded_amount" bigint DEFAULT 0 NOT NULL,
	"captured_at" timestamp with time zone NOT NULL,
	CONSTRAINT "provider_captures_pcr_id_psp_reference_pk" PRIMARY KEY("pcr_id","psp_reference"),
	CONSTRAINT "provider_capture_refunded_within_captured" CHECK (0 <= "checkoutd"."provider_captures"."refunded_amount" and "checkoutd"."provider_captures"."refunded_amount" <= "checkoutd"."provider_captures"."amount")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."provider_charges" (
	"id" text PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"context_id" text NOT NULL,
	"pcr_id" text NOT NULL,
	"attempt_id" text NOT NULL,
	"instrument_id" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"status" text NOT NULL,
	"decline_code" text,
	"next_action" jsonb,
	"tries" integer DEFAULT 0 NOT NULL,
	"authorised_amount" bigint DEFAULT 0 NOT NULL,
	"captured_amount" bigint DEFAULT 0 NOT NULL,
	"refunded_amount" bigint DEFAULT 0 NOT NULL,
	"moved_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "charge_refunded_within_captured" CHECK (0 <= "checkoutd"."provider_charges"."refunded_amount" and "checkoutd"."provider_charges"."refunded_amount" <= "checkoutd"."provider_charges"."captured_amount")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."provider_refunds" (
	"key" text PRIMARY KEY NOT NULL,
	"id" text NOT NULL,
	"pcr_id" text NOT NULL,
	"psp_reference" text NOT NULL,
	"context_id" text,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"accepted_at" timestamp with time zone NOT NULL,
	"failed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."provider_sends" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"charge_id" text NOT NULL,
	"type" text NOT NULL,
	"refund_id" text,
	"is_late" boolean NOT NULL,
	"occurs_at" timestamp with time zone NOT NULL,
	"send_at" timestamp with time zone NOT NULL,
	"tries" integer DEFAULT 0 NOT NULL,
	"closed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."cart_versions" (
	"cart_id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"highest_seen" integer NOT NULL,
	"completed_version" integer,
	"completed_context_id" text
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."contexts" (
	"id" text PRIMARY KEY NOT NULL,
	"caller" text NOT NULL,
	"user_id" text NOT NULL,
	"cart_id" text NOT NULL,
	"cart_version" integer NOT NULL,
	"idempotency_key" text NOT NULL,
	"machine_version" text NOT NULL,
	"machine_hash" text NOT NULL,
	"traceparent" text,
	"state" text NOT NULL,
	"status" text NOT NULL,
	"seq" integer NOT NULL,
	"fence" bigint NOT NULL,
	"event_seq" integer DEFAULT 0 NOT NULL,
	"last_commit" text NOT NULL,
	"owner" text,
	"wake_at" timestamp with time zone,
	"signals" integer DEFAULT 0 NOT NULL,
	"consumed" integer DEFAULT 0 NOT NULL,
	"parked_reason" text,
	"claims_without_progress" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"type_seqs" jsonb,
	"retained_signals" integer
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."idempotency_keys" (
	"caller" text NOT NULL,
	"key" text NOT NULL,
	"context_id" text NOT NULL,
	"request_hash" text NOT NULL,
	"answer_status" integer,
	"answer_body" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_keys_caller_key_pk" PRIMARY KEY("caller","key")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."inbox" (
	"source" text NOT NULL,
	"event_id" text NOT NULL,
	"context_id" text,
	"pcr_id" text,
	"event" jsonb NOT NULL,
	"arrival" bigint GENERATED ALWAYS AS IDENTITY (sequence name "checkoutd"."inbox_arrival_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"received_at" timestamp with time zone DEFAULT now() NOT NULL,
	"consumed_seq" integer,
	CONSTRAINT "inbox_source_event_id_pk" PRIMARY KEY("source","event_id"),
	CONSTRAINT "inbox_finds_one_way" CHECK ("checkoutd"."inbox"."context_id" is null or "checkoutd"."inbox"."pcr_id" is null)
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."journal" (
	"context_id" text NOT NULL,
	"seq" integer NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"event" jsonb NOT NULL,
	"from_state" text,
	"to_state" text NOT NULL,
	"context_hash" text NOT NULL,
	CONSTRAINT "journal_context_id_seq_pk" PRIMARY KEY("context_id","seq")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."ledger" (
	"context_id" text NOT NULL,
	"seq" integer NOT NULL,
	"line" integer NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"debit" text NOT NULL,
	"credit" text NOT NULL,
	"amount" bigint NOT NULL,
	"currency" text NOT NULL,
	"psp_reference" text NOT NULL,
	CONSTRAINT "ledger_context_id_seq_line_pk" PRIMARY KEY("context_id","seq","line"),
	CONSTRAINT "ledger_moves_something" CHECK ("checkoutd"."ledger"."amount" > 0),
	CONSTRAINT "ledger_between_two_accounts" CHECK ("checkoutd"."ledger"."debit" <> "checkoutd"."ledger"."credit"),
	CONSTRAINT "ledger_debit_is_known" CHECK ("checkoutd"."ledger"."debit" in ('PROVIDER', 'SUSPENSE', 'ORDER', 'BY_HAND')),
	CONSTRAINT "ledger_credit_is_known" CHECK ("checkoutd"."ledger"."credit" in ('PROVIDER', 'SUSPENSE', 'ORDER', 'BY_HAND'))
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."live_carts" (
	"cart_id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."live_payment_groups" (
	"payment_group_id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."locks" (
	"key" text PRIMARY KEY NOT NULL,
	"context_id" text,
	"token" bigint NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."nodes" (
	"id" text PRIMARY KEY NOT NULL,
	"lease_until" timestamp with time zone NOT NULL,
	"machine_hashes" text[] NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."outbox" (
	"context_id" text NOT NULL,
	"shard" smallint GENERATED ALWAYS AS ((('x' || left(md5(context_id), 1))::bit(4)::integer)::smallint) STORED NOT NULL,
	"event_seq" integer NOT NULL,
	"type" text NOT NULL,
	"type_seq" integer NOT NULL,
	"data" jsonb NOT NULL,
	"committed_at" timestamp with time zone NOT NULL,
	"acknowledged_at" timestamp with time zone,
	"tries" integer DEFAULT 0 NOT NULL,
	"retry_at" timestamp with time zone,
	"parked_reason" text,
	CONSTRAINT "outbox_context_id_event_seq_pk" PRIMARY KEY("context_id","event_seq")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."pcr_contexts" (
	"pcr_id" text PRIMARY KEY NOT NULL,
	"context_id" text,
	"arrived" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."relay_shards" (
	"shard" smallint PRIMARY KEY NOT NULL,
	"owner" text,
	"wanted_by" text
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."requests" (
	"context_id" text PRIMARY KEY NOT NULL,
	"body" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."snapshots" (
	"context_id" text PRIMARY KEY NOT NULL,
	"seq" integer NOT NULL,
	"snapshot" jsonb NOT NULL,
	"timers" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."suspense" (
	"context_id" text NOT NULL,
	"currency" text NOT NULL,
	"amount" bigint NOT NULL,
	"since" timestamp with time zone NOT NULL,
	CONSTRAINT "suspense_context_id_currency_pk" PRIMARY KEY("context_id","currency")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."coupon_stock" (
	"code" text PRIMARY KEY NOT NULL,
	"use_limit" integer NOT NULL,
	"used" integer NOT NULL,
	CONSTRAINT "coupon_stock_never_overused" CHECK ("checkoutd"."coupon_stock"."used" between 0 and "checkoutd"."coupon_stock"."use_limit")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."coupon_uses" (
	"invoice_id" text NOT NULL,
	"code" text NOT NULL,
	"context_id" text NOT NULL,
	"user_id" text NOT NULL,
	"status" text NOT NULL,
	"limited" boolean NOT NULL,
	CONSTRAINT "coupon_uses_invoice_id_code_pk" PRIMARY KEY("invoice_id","code")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."effects" (
	"operation" text NOT NULL,
	"key" text NOT NULL,
	"context_id" text NOT NULL,
	"result" jsonb,
	"before" jsonb,
	"undone_at" timestamp with time zone,
	"undo_report" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "effects_operation_key_pk" PRIMARY KEY("operation","key")
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."invoices" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"version" integer NOT NULL,
	"hash" text NOT NULL,
	"payable" bigint NOT NULL,
	"currency" text NOT NULL,
	"lines" jsonb NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."opt_ins" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"user_id" text NOT NULL,
	"type" text NOT NULL,
	"plan_id" text NOT NULL,
	"status" text NOT NULL,
	"pending_action" text,
	"version" integer NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."payment_groups" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"payer_id" text NOT NULL,
	"city_id" text NOT NULL,
	"seller_id" text NOT NULL,
	"currency" text NOT NULL,
	"timing" text NOT NULL,
	"line_item_refs" jsonb NOT NULL,
	"status" text NOT NULL,
	"amount" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."post_selling_preferences" (
	"id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"ref" text NOT NULL,
	"type" text NOT NULL,
	"line_item_refs" jsonb NOT NULL,
	"payload" jsonb,
	"status" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."slot_bookings" (
	"preference_id" text PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"slot_id" text NOT NULL,
	"date" text NOT NULL,
	"status" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "checkoutd"."slot_stock" (
	"slot_id" text NOT NULL,
	"date" text NOT NULL,
	"capacity" integer NOT NULL,
	"taken" integer NOT NULL,
	CONSTRAINT "slot_stock_slot_id_date_pk" PRIMARY KEY("slot_id","date"),
	CONSTRAINT "slot_stock_never_oversold" CHECK ("checkoutd"."slot_stock"."taken" between 0 and "checkoutd"."slot_stock"."capacity")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "checkout_orders_context" ON "checkoutd"."checkout_orders" USING btree ("context_id");--> statement-breakpoint
CREATE UNIQUE INDEX "checkout_orders_number" ON "checkoutd"."checkout_orders" USING btree ("order_number");--> statement-breakpoint
CREATE UNIQUE INDEX "line_items_order_ref" ON "checkoutd"."line_items" USING btree ("checkout_order_id","ref");--> statement-breakpoint
CREATE INDEX "line_items_context" ON "checkoutd"."line_items" USING btree ("context_id");--> statement-breakpoint
CREATE UNIQUE INDEX "payment_attempts_key" ON "checkoutd"."payment_attempts" USING btree ("key");--> statement-breakpoint
CREATE UNIQUE INDEX "payment_attempts_round" ON "checkoutd"."payment_attempts" USING btree ("pcr_id","round");--> statement-breakpoint
CREATE UNIQUE INDEX "payment_collection_requirements_context" ON "checkoutd"."payment_collection_requirements" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "payment_refunds_pcr" ON "checkoutd"."payment_refunds" USING btree ("pcr_id");--> statement-breakpoint
CREATE INDEX "provider_captures_charge" ON "checkoutd"."provider_captures" USING btree ("charge_id");--> statement-breakpoint
CREATE UNIQUE INDEX "provider_charges_key" ON "checkoutd"."provider_charges" USING btree ("key");--> statement-breakpoint
CREATE INDEX "provider_charges_pcr" ON "checkoutd"."provider_charges" USING btree ("pcr_id");--> statement-breakpoint
CREATE UNIQUE INDEX "provider_refunds_id" ON "checkoutd"."provider_refunds" USING btree ("id");--> statement-breakpoint
CREATE UNIQUE INDEX "provider_refunds_standing" ON "checkoutd"."provider_refunds" USING btree ("pcr_id","psp_reference") WHERE "checkoutd"."provider_refunds"."failed_at" is null;--> statement-breakpoint
CREATE INDEX "provider_sends_due" ON "checkoutd"."provider_sends" USING btree ("send_at") WHERE "checkoutd"."provider_sends"."closed_at" is null;--> statement-breakpoint
CREATE INDEX "provider_sends_charge" ON "checkoutd"."provider_sends" USING btree ("charge_id");--> statement-breakpoint
CREATE INDEX "contexts_owner" ON "checkoutd"."contexts" USING btree ("owner") WHERE "checkoutd"."contexts"."owner" is not null;--> statement-breakpoint
CREATE INDEX "contexts_wake_at" ON "checkoutd"."contexts" USING btree ("wake_at") WHERE "checkoutd"."contexts"."wake_at" is not null;--> statement-breakpoint
CREATE INDEX "contexts_user" ON "checkoutd"."contexts" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "contexts_created_at" ON "checkoutd"."contexts" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "contexts_removable" ON "checkoutd"."contexts" USING btree ("finished_at","id") WHERE "checkoutd"."contexts"."finished_at" is not null and "checkoutd"."contexts"."signals" is distinct from "checkoutd"."contexts"."retained_signals";--> statement-breakpoint
CREATE INDEX "contexts_runnable" ON "checkoutd"."contexts" USING btree ("id") WHERE "checkoutd"."contexts"."owner" is null and "checkoutd"."contexts"."parked_reason" is null and ("checkoutd"."contexts"."signals" > "checkoutd"."contexts"."consumed" or ("checkoutd"."contexts"."finished_at" is null and "checkoutd"."contexts"."wake_at" is null));--> statement-breakpoint
CREATE UNIQUE INDEX "idempotency_keys_context" ON "checkoutd"."idempotency_keys" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "inbox_context" ON "checkoutd"."inbox" USING btree ("context_id") WHERE "checkoutd"."inbox"."consumed_seq" is null and "checkoutd"."inbox"."context_id" is not null;--> statement-breakpoint
CREATE INDEX "inbox_pcr" ON "checkoutd"."inbox" USING btree ("pcr_id") WHERE "checkoutd"."inbox"."consumed_seq" is null and "checkoutd"."inbox"."pcr_id" is not null;--> statement-breakpoint
CREATE INDEX "inbox_consumed" ON "checkoutd"."inbox" USING btree (coalesce("context_id", "pcr_id")) WHERE "checkoutd"."inbox"."consumed_seq" is not null;--> statement-breakpoint
CREATE INDEX "live_payment_groups_context" ON "checkoutd"."live_payment_groups" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "outbox_pending" ON "checkoutd"."outbox" USING btree ("shard","committed_at") WHERE "checkoutd"."outbox"."acknowledged_at" is null;--> statement-breakpoint
CREATE INDEX "outbox_waiting" ON "checkoutd"."outbox" USING btree ("context_id") WHERE "checkoutd"."outbox"."acknowledged_at" is null and ("checkoutd"."outbox"."parked_reason" is not null or "checkoutd"."outbox"."retry_at" is not null);--> statement-breakpoint
CREATE INDEX "pcr_contexts_context" ON "checkoutd"."pcr_contexts" USING btree ("context_id") WHERE "checkoutd"."pcr_contexts"."context_id" is not null;--> statement-breakpoint
CREATE INDEX "suspense_open" ON "checkoutd"."suspense" USING btree ("since") WHERE "checkoutd"."suspense"."amount" <> 0;--> statement-breakpoint
CREATE INDEX "coupon_uses_context" ON "checkoutd"."coupon_uses" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "invoices_context" ON "checkoutd"."invoices" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "opt_ins_context" ON "checkoutd"."opt_ins" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "opt_ins_user" ON "checkoutd"."opt_ins" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "payment_groups_context" ON "checkoutd"."payment_groups" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "post_selling_preferences_context" ON "checkoutd"."post_selling_preferences" USING btree ("context_id");--> statement-breakpoint
CREATE INDEX "slot_bookings_context" ON "checkoutd"."slot_bookings" USING btree ("context_id");