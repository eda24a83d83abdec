import { and, desc, eq } from "drizzle-orm";
import type { CreatedOptIn } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { optIns } from "../persistence/service-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { OptInAction, RequestedOptIn } from "../steps/request.ts";
import type { Call, OptInService, UndoConflict, UndoReport } from "../steps/services.ts";
import { EffectLog } from "./effect-log.ts";

export interface OptInsDeps {
  readonly database: Database;
  readonly ids: Ids;
}

type OptInRow = typeof optIns.$inferSelect;

/** One write of a checkout: the row's version after it, and for a changed row what stood there before. */
interface Write {
  readonly optInId: string;
  readonly version: number;
  readonly before: Pick<OptInRow, "contextId" | "planId" | "status" | "pendingAction"> | null;
}

/**
 * Opt-ins on our own tables. MODIFY changes the user's newest active opt-in of that type to another plan,
 * CANCEL ends the one with that plan; both find the row locked against every other checkout.
 */
export class SqlOptIns implements OptInService {
  readonly #effects: EffectLog;

  constructor(private readonly deps: OptInsDeps) {
    this.#effects = new EffectLog(deps.database);
  }

  async handleOptinCreationAndModification(
    call: Call & { readonly userId: string; readonly optIns: readonly RequestedOptIn[] },
  ): Promise<{ readonly optIns: readonly CreatedOptIn[] }> {
    return this.#effects.perform("handleOptinCreationAndModification", call, async (tx) => {
      const writes: Write[] = [];
      const created: CreatedOptIn[] = [];
      for (const optIn of call.optIns) {
        const write =
          optIn.action === "CREATE" ? await this.#create(tx, call, optIn) : await change(tx, call, optIn, optIn.action);
        writes.push(write);
        created.push({ ref: optIn.ref, optInId: write.optInId });
      }
      return { result: { optIns: created }, before: writes };
    });
  }

  async undoHandleOptinCreationAndModification(call: Call): Promise<UndoReport> {
    return this.#effects.undo<unknown, readonly Write[]>("handleOptinCreationAndModification", call, async (tx, effect) => {
      const conflicts: UndoConflict[] = [];
      for (const write of effect.before.toReversed()) {
        if (!(await setBack(tx, write))) conflicts.push(changedSince(write));
      }
      return { conflicts };
    });
  }

  async activateOptIns(call: Call): Promise<void> {
    await this.#effects.perform("activateOptIns", call, async (tx) => {
      const pending = await tx
        .select()
        .from(optIns)
        .where(and(eq(optIns.contextId, call.executionContextId), eq(optIns.status, "PENDING")))
        .orderBy(optIns.id)
        .for("update");
      for (const row of pending) {
        const status = row.pendingAction === "CANCEL" ? "CANCELLED" : "ACTIVE";
        await tx
          .update(optIns)
          .set({ status, pendingAction: null, version: row.version + 1 })
          .where(eq(optIns.id, row.id));
      }
      return { result: null, before: null };
    });
  }

  async #create(tx: Orm, call: Call & { readonly userId: string }, optIn: RequestedOptIn): Promise<Write> {
    const optInId = this.deps.ids.next("opt");
    await tx.insert(optIns).values({
      id: optInId,
      contextId: call.executionContextId,
      userId: call.userId,
      type: optIn.type,
      planId: optIn.planId,
      status: "PENDING",
      pendingAction: "CREATE",
      version: 1,
    });
    return { optInId, version: 1, before: null };
  }
}

async function change(
  tx: Orm,
  call: Call & { readonly userId: string },
  optIn: RequestedOptIn,
  action: Exclude<OptInAction, "CREATE">,
): Promise<Write> {
  const [row] = await tx
    .select()
    .from(optIns)
    .where(
      and(
        eq(optIns.userId, call.userId),
        eq(optIns.type, optIn.type),
        eq(optIns.status, "ACTIVE"),
        action === "CANCEL" ? eq(optIns.planId, optIn.planId) : undefined,
      ),
    )
    .orderBy(desc(optIns.createdAt), desc(optIns.id))
    .limit(1)
    .for("update");
  if (row === undefined) throw nothingToChange(optIn);
  const version = row.version + 1;
  await tx
    .update(optIns)
    .set({
      contextId: call.executionContextId,
      planId: action === "MODIFY" ? optIn.planId : row.planId,
      status: "PENDING",
      pendingAction: action,
      version,
    })
    .where(eq(optIns.id, row.id));
  const { contextId, planId, status, pendingAction } = row;
  return { optInId: row.id, version, before: { contextId, planId, status, pendingAction } };
}

/** Compare and set: false, and nothing changed, where anybody wrote the row after this checkout did. */
async function setBack(tx: Orm, write: Write): Promise<boolean> {
  const image = write.before ?? { status: "REVOKED", pendingAction: null };
  const changed = await tx
    .update(optIns)
    .set({ ...image, version: write.version + 1 })
    .where(and(eq(optIns.id, write.optInId), eq(optIns.version, write.version)))
    .returning({ id: optIns.id });
  return changed.length > 0;
}

function changedSince(write: Write): UndoConflict {
  return { entity: "optIn", id: write.optInId, reason: "It was changed after this checkout wrote it; the later change stays." };
}

function nothingToChange(optIn: RequestedOptIn): TerminalError {
  return new TerminalError(
    "BUSINESS_RULE",
    `There is no active ${optIn.type} to ${optIn.action.toLowerCase()}. Remove it and check out again.`,
    {
      details: { ref: optIn.ref, type: optIn.type, action: optIn.action },
    },
  );
}
