import { checkSequences } from "./check-sequences.ts";
import { isAfterPivot } from "./start-states.ts";

checkSequences("after the pivot, and finished", isAfterPivot);
