/** The built-in participants and those in memory, by the same laws. */
import { participantsConformance, type Departures } from "../conformance/participants.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { memoryParticipants } from "../support/memory-participants.ts";
import { sqlParticipants } from "../support/sql-participants.ts";

const NO_OPT_INS = "a checkout that asked for no opt-ins looks the same, and has nothing to activate either";

const SQL_DEPARTURES: Departures = {
  "activateOptIns is refused where nothing was done, whatever another checkout did": NO_OPT_INS,
  "activateOptIns is refused after the undo of handleOptinCreationAndModification, and brings nothing back": NO_OPT_INS,
  "a refund that went on by itself is answered with the same again":
    "which refunds failed on the way is said by the call that found it out, and not kept",
};

const MEMORY_DEPARTURES: Departures = {
  "what is given back already is a success under another round, and moves nothing":
    "on purpose its provider trusts keys alone, so that the simulation sees a refund that is asked for under two",
};

participantsConformance(
  "SQL on PGlite",
  async () => {
    const database = await openMemoryDatabase();
    return sqlParticipants(database, () => database.close());
  },
  SQL_DEPARTURES,
);
participantsConformance("in memory", memoryParticipants, MEMORY_DEPARTURES);
