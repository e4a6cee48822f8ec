/** The one place that speaks HTTP to the platform. */

import { readJson, writeJson } from "../text/json";
import type { FileStart, ImportOptions, Imported, Preview } from "./imports";
import type {
  ConnectInfo,
  CurrentValue,
  DeletedHistory,
  History,
  Me,
  Reject,
  RejectPage,
  Replayed,
  Status,
  ThingDescription,
  ThingPage,
  ThingSummary,
  Token,
} from "./types";

/** An answer that is no success: RFC 9457 problem details, or the network's own failure (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

const BYTES = { "Content-Type": "application/octet-stream" };
const PASSWORD_PATHS = new Set(["/api/login", "/api/me/password"]);

let onUnauthorized: () => void = () => {};

/** What to do when the session has ended: the shell sends the person to the login page. */
export function whenUnauthorized(action: () => void): void {
  onUnauthorized = action;
}

type Parameter = string | number | boolean | undefined | null | readonly string[];

export function address(path: string, parameters: Record<string, Parameter> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === null || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function problemOf(response: Response): Promise<ApiError> {
  let title = response.statusText;
  let detail = "";
  let type = "";
  try {
    const body = (await response.json()) as Record<string, unknown>;
    title = typeof body["title"] === "string" ? body["title"] : title;
    detail = typeof body["detail"] === "string" ? body["detail"] : "";
    type = typeof body["type"] === "string" ? (body["type"].split(/[/:]/).at(-1) ?? "") : "";
  } catch {
    // A proxy's error page: the status line has to do.
  }
  return new ApiError(response.status, type, title, detail);
}

export async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const init: RequestInit = { method, headers: { Accept: "application/json" }, credentials: "same-origin" };
  if (signal) init.signal = signal;
  if (body instanceof Blob) {
    init.body = body;
    init.headers = { ...init.headers, ...BYTES };
  } else if (body !== undefined) {
    init.body = writeJson(body);
    init.headers = {
      ...init.headers,
      "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
    };
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "offline", "", "");
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    // There it is about the password in the request, not about the session.
    if (response.status === 401 && !PASSWORD_PATHS.has(path)) onUnauthorized();
    throw problem;
  }
  const text = await response.text();
  return (text ? readJson(text) : undefined) as T;
}

/** Send a file of any size. `onsent` is told how many bytes have gone, which fetch does not tell. */
export function sendFile<T>(
  path: string,
  file: Blob,
  onsent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open("POST", path);
    sending.setRequestHeader("Accept", "application/json");
    sending.setRequestHeader("Content-Type", BYTES["Content-Type"]);
    sending.upload.onprogress = (event) => onsent(event.loaded);
    sending.onerror = () => reject(new ApiError(0, "offline", "", ""));
    sending.onabort = () => reject(new DOMException("", "AbortError"));
    sending.onload = async () => {
      if (sending.status === 200) return resolve(readJson(sending.responseText) as T);
      const { status, statusText } = sending;
      if (status === 401) onUnauthorized();
      reject(await problemOf(new Response(sending.responseText, { status, statusText })));
    };
    sending.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    sending.send(file);
  });
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

const thingPath = (id: string) => `/api/things/${encodeURIComponent(id)}`;
const directoryPath = (id: string) => `/things/${encodeURIComponent(id)}`;

export interface ThingsQuery {
  search?: string | undefined;
  state?: string | undefined;
  online?: string | undefined;
  sort?: string | undefined;
  order?: string | undefined;
  limit?: number | undefined;
  next?: string | null | undefined;
}

export interface HistoryRequest {
  thing: string | readonly string[];
  property?: string | readonly string[];
  from?: string;
  to?: string;
  every?: string;
  zone?: string;
  aggregate?: readonly string[];
  limit?: number;
  order?: "asc" | "desc";
  format?: string;
}

export interface RejectsMatch {
  reason?: string;
  topic?: string;
}

export interface RejectsQuery extends RejectsMatch {
  limit: number;
  next?: string | null;
}

export function historyAddress(query: HistoryRequest): string {
  const { aggregate, ...rest } = query;
  return address("/api/history", { ...rest, aggregate: aggregate?.join(",") });
}

export const api = {
  me: () => request<Me>("GET", "/api/me"),
  login: (user: string, password: string) => request<void>("POST", "/api/login", { user, password }),
  changePassword: (old: string, fresh: string) =>
    request<void>("PUT", "/api/me/password", { old, new: fresh }),
  logout: () => request<void>("POST", "/api/logout"),
  status: (signal?: AbortSignal) => request<Status>("GET", "/api/status", undefined, signal),

  things: (query: ThingsQuery, signal?: AbortSignal) =>
    request<ThingPage>("GET", address("/api/things", { ...query }), undefined, signal),
  thing: (id: string, signal?: AbortSignal) =>
    request<ThingDescription>("GET", directoryPath(id), undefined, signal),
  setStrict: (id: string, strict: boolean) =>
    request<ThingDescription>("PATCH", directoryPath(id), { "allthings:strict": strict || null }),
  add: (thing: string, title: string) =>
    request<ThingSummary>("POST", "/api/things", title ? { thing, title } : { thing }),
  rename: (id: string, title: string) => request<ThingDescription>("PATCH", directoryPath(id), { title }),
  remove: (id: string) => request<void>("DELETE", directoryPath(id)),
  adopt: (id: string, title?: string) =>
    request<unknown>("POST", `${thingPath(id)}/adopt`, title ? { title } : {}),

  current: (things: readonly string[], signal?: AbortSignal) =>
    request<{ values: CurrentValue[] }>("GET", address("/api/current", { thing: things }), undefined, signal),
  /** How much a thing has in the history. */
  countHistory: (thing: string, signal?: AbortSignal) =>
    request<DeletedHistory>("DELETE", address("/api/history", { thing, dry_run: "true" }), undefined, signal),
  deleteHistory: (thing: string) => request<DeletedHistory>("DELETE", address("/api/history", { thing })),
  history: (query: HistoryRequest, signal?: AbortSignal) =>
    request<History>("GET", historyAddress(query), undefined, signal),

  previewImport: (file: FileStart, options: ImportOptions, signal: AbortSignal) =>
    request<Preview>(
      "POST",
      address("/api/imports/preview", {
        name: file.name,
        options: writeJson(options),
        head: file.head,
        whole: file.whole,
      }),
      file.bytes,
      signal,
    ),
  importFile: (file: File, options: ImportOptions, onsent: (bytes: number) => void, signal: AbortSignal) =>
    sendFile<Imported>(
      address("/api/imports", { name: file.name, options: writeJson(options) }),
      file,
      onsent,
      signal,
    ),

  rejects: (query: RejectsQuery, signal?: AbortSignal) =>
    request<RejectPage>("GET", address("/api/rejects", { ...query }), undefined, signal),
  reject: (id: string) => request<Reject>("GET", `/api/rejects/${encodeURIComponent(id)}`),
  replay: (id: string) => request<Replayed>("POST", `/api/rejects/${encodeURIComponent(id)}/replay`),
  replayAll: (match: RejectsMatch) => request<Replayed>("POST", "/api/rejects/replay", match),

  tokens: (thing?: string) =>
    request<{ tokens: Token[] }>("GET", thing ? `${thingPath(thing)}/tokens` : "/api/tokens"),
  createToken: (label: string, thing?: string) =>
    request<{ id: string; token: string }>("POST", thing ? `${thingPath(thing)}/tokens` : "/api/tokens", {
      label,
    }),
  revokeToken: (id: string) => request<void>("DELETE", `/api/tokens/${encodeURIComponent(id)}`),
  connectInfo: () => request<ConnectInfo>("GET", "/api/connect-info"),
};
