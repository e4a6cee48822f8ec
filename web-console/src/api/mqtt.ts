/** What the platform tells of the gateways' clients and topics, and of who may do what. */

import { address, request } from "./client";

export interface MqttClient {
  client: string;
  owner: string;
  connected: boolean;
  address: string | null;
  version: string | null;
  since: string;
  persistent: boolean;
  expiry_s: number;
  subscriptions: number;
  in_flight: number;
  queued: number;
  dropped: number;
  messages_in: number;
  messages_out: number;
  /** Messages a second; null until they have been measured. */
  rate_in: number | null;
  rate_out: number | null;
}

export interface Subscription {
  filter: string;
  qos: number;
  no_local: boolean;
  retain_as_published: boolean;
  identifier: number | null;
}

export interface ClientDetail {
  client: MqttClient;
  subscriptions: Subscription[];
  tenant: string | null;
  certificate: string | null;
  keep_alive_s: number;
  will: string | null;
  expired: number;
  too_large: number;
}

/** The beginning of a payload; `payload_base64` is there when it is no UTF-8. */
export interface Payload {
  payload: string;
  payload_base64: string | null;
  payload_bytes: number;
}

export interface Newest extends Payload {
  time: string;
  qos: number;
  retained: boolean;
}

export interface Level {
  name: string;
  topic: string;
  topics: number;
  children: number;
  messages: number;
  rate: number;
  time: string | null;
  newest: Newest | null;
}

export interface Levels {
  levels: Level[];
  total: number;
  topics: number;
  unlisted: number;
  next: string | null;
}

export interface RetainedMessage extends Payload {
  topic: string;
  qos: number;
  time: string;
  expires: string | null;
}

export interface Rule {
  id: string;
  subject: string;
  filter: string;
  publish: boolean;
  subscribe: boolean;
  note: string;
  created: string | null;
}

export type NewRule = Omit<Rule, "id" | "created">;

export interface User {
  user: string;
  role: string;
  tenant: string;
}

export interface Quota {
  scope: string;
  messages_s: number | null;
  bytes_s: number | null;
  over: string;
}

export interface AuditEntry {
  id: string;
  time: string;
  area: string;
  kind: string;
  who: string;
  client: string;
  address: string;
  what: string;
  why: string;
  repeated: number;
}

export interface ListQuery {
  search?: string;
  state?: string;
  sort?: string;
  order?: string;
  limit: number;
  next?: string | null;
}

const clientPath = (client: string) => `/api/mqtt/clients/${encodeURIComponent(client)}`;
const rulePath = (id: string) => `/api/access/rules/${encodeURIComponent(id)}`;
const userPath = (user: string) => `/api/users/${encodeURIComponent(user)}`;
const quotaPath = (scope: string) => `/api/access/quotas/${encodeURIComponent(scope)}`;

export const mqttApi = {
  clients: (query: ListQuery, signal?: AbortSignal) =>
    request<{ clients: MqttClient[]; total: number; next: string | null }>(
      "GET",
      address("/api/mqtt/clients", { ...query }),
      undefined,
      signal,
    ),
  client: (client: string, signal?: AbortSignal) =>
    request<ClientDetail>("GET", clientPath(client), undefined, signal),
  disconnect: (client: string, end: boolean) =>
    request<void>("DELETE", address(clientPath(client), { session: end ? "end" : "keep" })),

  topics: (prefix: string, query: ListQuery, signal?: AbortSignal) =>
    request<Levels>("GET", address("/api/mqtt/topics", { prefix, ...query }), undefined, signal),

  retained: (filter: string, limit: number, next: string | null, signal?: AbortSignal) =>
    request<{ messages: RetainedMessage[]; total: number; next: string | null }>(
      "GET",
      address("/api/mqtt/retained", { filter, limit, next }),
      undefined,
      signal,
    ),
  clear: (topic: string) => request<void>("DELETE", address("/api/mqtt/retained", { topic })),

  token: () => request<{ user: string; token: string; expires: string }>("POST", "/api/mqtt/token"),

  rules: () => request<{ rules: Rule[] }>("GET", "/api/access/rules"),
  createRule: (rule: NewRule) => request<Rule>("POST", "/api/access/rules", rule),
  changeRule: (id: string, rule: NewRule) => request<Rule>("PUT", rulePath(id), rule),
  removeRule: (id: string) => request<void>("DELETE", rulePath(id)),
  check: (question: { topic: string; thing?: string; user?: string; client?: string }) =>
    request<{ publish: string | null; subscribe: string | null }>("POST", "/api/access/check", question),

  users: () => request<{ users: User[] }>("GET", "/api/users"),
  createUser: (user: User & { password: string }) => request<User>("POST", "/api/users", user),
  removeUser: (user: string) => request<void>("DELETE", userPath(user)),

  quotas: () => request<{ quotas: Quota[] }>("GET", "/api/access/quotas"),
  setQuota: ({ scope, ...limit }: Quota) => request<Quota>("PUT", quotaPath(scope), limit),
  removeQuota: (scope: string) => request<void>("DELETE", quotaPath(scope)),

  audit: (
    query: { area?: string; who?: string; limit: number; next?: string | null },
    signal?: AbortSignal,
  ) =>
    request<{ entries: AuditEntry[]; next: string | null }>(
      "GET",
      address("/api/audit", { ...query }),
      undefined,
      signal,
    ),
};

/** PATCH of a user is a plain JSON object, unlike that of a Thing Description. */
export async function changeUser(
  user: string,
  change: { role?: string; tenant?: string; password?: string },
): Promise<User> {
  return request<User>("PATCH", userPath(user), change);
}
