/** What the platform's HTTP API answers. Times are RFC 3339 in UTC; 64 bit positions are strings. */

/** bigint: an integer that a number does not hold exactly. */
export type Value = number | bigint | boolean | string | null | object;

export interface Me {
  user: string;
  role: string;
  open: boolean;
  version: string;
}

export interface Status {
  version: string;
  started: string;
  now: string;
  things: { total: number; online: number; discovered: number };
  connections: number;
  rates: { messages: number; readings: number; rejects: number };
  totals: { readings: number; rejects: number; unclaimed: number };
  disk: {
    data_bytes: number;
    free_bytes: number;
    log_bytes: number;
    history_bytes: number;
    free_files: number | null;
    shortage: string;
  };
  consumers: { name: string; position: string; lag_blocks: number; lag_s: number }[];
  roles: { name: string; state: string; restarts: number }[];
  log: { first: string; last: string; bytes: number; trouble: string };
  holding: string[];
}

export type ThingState = "adopted" | "discovered";

export interface MainValue {
  property: string;
  title: string;
  unit: string;
  value: Value;
  time: string;
  quality: string;
  titles?: MultiLanguage;
}

export interface ThingSummary {
  thing: string;
  id: string;
  title: string;
  type: string[];
  state: ThingState;
  online: boolean;
  seen: string | null;
  properties: number;
  main: MainValue | null;
  titles?: MultiLanguage;
}

export interface ThingPage {
  things: ThingSummary[];
  total: number;
  next: string | null;
}

/** Texts of a Thing Description by language tag (TD 1.1, section 5.3.1.2, MultiLanguage). */
export type MultiLanguage = Record<string, string>;

export interface PropertyAffordance {
  title?: string;
  titles?: MultiLanguage;
  description?: string;
  type?: string;
  unit?: string;
  minimum?: number;
  maximum?: number;
  /** Of a property that nobody described: the range of what was seen. */
  "allthings:minimumSeen"?: number;
  "allthings:maximumSeen"?: number;
  readOnly?: boolean;
  enum?: Value[];
}

export interface ThingDescription {
  id: string;
  title: string;
  titles?: MultiLanguage;
  description?: string;
  descriptions?: MultiLanguage;
  properties?: Record<string, PropertyAffordance>;
  [member: string]: unknown;
}

/** What was deleted of the history, or would be. */
export interface DeletedHistory {
  readings: number;
  events: number;
  deleted: boolean;
}

export interface CurrentValue {
  thing: string;
  property: string;
  value: Value;
  time: string;
  received: string;
  quality: string;
  /** Of what came by the live feed: it was uploaded, and not sent by the device. */
  origin?: "upload";
}

export interface HistorySeries {
  thing: string;
  property: string;
  unit: string;
  columns: string[];
  points: [string, ...Value[]][];
}

export interface History {
  series: HistorySeries[];
  next: string | null;
}

export interface Reject {
  id: string;
  time: string;
  client: string;
  topic: string;
  reason: string;
  /** As text; in a list only its beginning. */
  payload: string;
  payload_bytes: number;
  /** There when the payload is no UTF-8. */
  payload_base64?: string;
}

export interface RejectPage {
  rejects: Reject[];
  next: string | null;
  total: number;
}

export interface Replayed {
  replayed: number;
  /** There were more than one request replays. */
  more?: boolean;
}

export interface Token {
  id: string;
  label: string;
  created: string;
}

export interface ConnectInfo {
  mqtt: { host: string; port: number };
  http: string;
}
