/** What `/api/imports` takes and answers. */

/** What a person says of a file; what is left out is found in the file. */
export interface ImportOptions {
  thing?: string;
  time_column?: string[];
  time_format?: string;
  day_first?: boolean;
  zone?: string;
  now?: boolean;
  thing_column?: string;
  property_column?: string;
  value_column?: string;
  columns_are?: "things";
  property?: string;
  delimiter?: string;
  decimal?: string;
  encoding?: string;
  header?: boolean;
  absent?: string[];
  text?: string[];
  number?: string[];
  leave?: string[];
}

export interface ImportColumn {
  header: string;
  name: string;
  role: string;
  kind: string;
  unit: string;
  /** The part of the rows without a value. */
  empty: number;
}

export interface ImportQuestion {
  option: string;
  text: string;
  choices: string[];
}

export interface Understood {
  form: string;
  shape: string;
  thing: string;
  columns: ImportColumn[];
  moment: { columns: number[]; form: string; order: string; zone: string } | null;
  dialect: { encoding: string; delimiter: string; decimal: string; header: boolean } | null;
  first: string | null;
  last: string | null;
  period_s: number | null;
  rows: number;
  whole: boolean;
  said: string[];
  questions: ImportQuestion[];
  preview: string[][];
  zone_by: string;
}

/** `options`: those that were sent, with what was decided. */
export interface Preview {
  understood: Understood;
  options: ImportOptions;
}

export interface Imported {
  rows: number;
  accepted: number;
  rejected: { row: number; reason: string }[];
  rejected_total: number;
  absent: Record<string, number>;
  replaced: number;
  things: string[];
  things_total: number;
  first: string | null;
  last: string | null;
  said: string[];
  position: string;
}

/** As much of a file as a preview takes: its first bytes (`head` of them), and then its last. */
export interface FileStart {
  name: string;
  bytes: Blob;
  head: number;
  whole: boolean;
}

/** A little more than what is looked at, so that the last line may be cut off. */
export const HEAD_BYTES = (2 << 20) + 64 * 1024;
export const TAIL_BYTES = 128 * 1024;
/** What has no beginning that can be read alone goes whole; a preview takes so much. */
export const WHOLE_BYTES_MAX = 60 << 20;

const PACKED = ["\x1f\x8b", "BZh", "\xfd7zXZ\0"];
const COLUMNAR = ["PAR1", "ARROW1", "\xff\xff\xff\xff"];

/** What of a file to send to the preview; null when it would have to go whole and is too large for that. */
export async function startOf(file: File): Promise<FileStart | null> {
  const all = { name: file.name, bytes: file, head: file.size, whole: true };
  if (file.size <= HEAD_BYTES) return all;
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 8).arrayBuffer()));
  const begins = (marks: string[]) => marks.some((mark) => start.startsWith(mark));
  if (begins(COLUMNAR)) return file.size <= WHOLE_BYTES_MAX ? all : null;
  const head = file.slice(0, HEAD_BYTES);
  if (begins(PACKED)) return { name: file.name, bytes: head, head: head.size, whole: false };
  if (isDocument(await head.text())) return file.size <= WHOLE_BYTES_MAX ? all : null;
  const tail = file.slice(Math.max(head.size, file.size - TAIL_BYTES));
  return { name: file.name, bytes: new Blob([head, tail]), head: head.size, whole: false };
}

/** Whether a text is one JSON document, and no table and no line for each row. */
export function isDocument(text: string): boolean {
  const start = text.trimStart();
  if (start.startsWith("[")) return true;
  if (!start.startsWith("{")) return false;
  try {
    JSON.parse(start.split("\n", 1)[0] ?? "");
    return false;
  } catch {
    return true;
  }
}
