/** Words about files that are imported: what the platform names by codes, and its sentences for this page. */

import type { ImportColumn, Understood } from "../api/imports";
import { t, type Key } from "./messages.svelte";

const ROLES: Record<string, Key> = {
  time: "import.role.time",
  thing: "import.role.thing",
  property: "import.role.property",
  value: "import.role.value",
  left: "import.role.left",
};
const KINDS: Record<string, Key> = {
  number: "import.kind.number",
  boolean: "import.kind.boolean",
  text: "import.kind.text",
  any: "import.kind.any",
};
const SHAPES: Record<string, Key> = {
  wide: "import.shape.wide",
  long: "import.shape.long",
  things: "import.shape.things",
};
const DELIMITERS: Record<string, Key> = { "\t": "import.delimiter.tab", " ": "import.delimiter.space" };
const QUESTIONS: Record<string, Key> = {
  time_column: "import.ask.time",
  day_first: "import.ask.dayFirst",
  thing_column: "import.ask.thingColumn",
  property_column: "import.ask.propertyColumn",
  thing: "import.ask.thing",
};
/** The options of the command line, by what they are called on this page. */
const OPTIONS: Record<string, Key> = {
  "--thing": "import.thing",
  "--time-column": "import.time",
  "--time-format": "import.timeFormat",
  "--day-first": "import.dayFirst.yes",
  "--month-first": "import.dayFirst.no",
  "--zone": "import.zone",
  "--now": "import.now",
  "--thing-column": "import.thingColumn",
  "--property-column": "import.propertyColumn",
  "--value-column": "import.valueColumn",
  "--columns-are": "import.columnsAre",
  "--property": "import.property",
  "--delimiter": "import.delimiter",
  "--decimal": "import.decimal",
  "--encoding": "import.encoding",
  "--header": "import.header",
  "--absent": "import.absent",
};

/** A code that a newer platform has and this page does not know stays as it is. */
const word = (table: Record<string, Key>, code: string) => {
  const key = table[code];
  return key ? t(key) : code;
};

export const roleName = (role: string) => word(ROLES, role);
export const kindName = (kind: string) => word(KINDS, kind);
export const shapeName = (shape: string) => word(SHAPES, shape);
export const delimiterName = (delimiter: string) => word(DELIMITERS, delimiter);

/** A sentence of the platform, which speaks to the command line, for this page. */
export const forPage = (text: string) =>
  text.replace(/--[a-z]+(?:-[a-z]+)*/g, (option) => {
    const key = OPTIONS[option];
    return key ? `"${t(key)}"` : option;
  });

/** What is asked, and whether that is the platform's own English. */
export function asked(question: { option: string; text: string }): { text: string; english: boolean } {
  const key = QUESTIONS[question.option];
  return key ? { text: t(key), english: false } : { text: forPage(question.text), english: true };
}

/** By what a column is named to the platform: its header, or its place where it has none. */
export const columnName = (column: ImportColumn, place: number) => column.header || `column ${place + 1}`;

export const columnNames = (understood: Understood) => understood.columns.map(columnName);
