import { checkSequences } from "./check-sequences.ts";
import { isUndoing } from "./start-states.ts";

checkSequences("undoing", isUndoing);
