/**
 * The console's addresses. All but the overview live under /console/, since /things, /events and others are the
 * platform's API.
 */

export interface Route {
  name: RouteName;
  /** The part of the path that names one thing, decoded. */
  parameter: string;
}

export type RouteName =
  | "overview"
  | "things"
  | "thing"
  | "import"
  | "discovered"
  | "rejects"
  | "clients"
  | "topics"
  | "retained"
  | "explorer"
  | "access"
  | "settings"
  | "login"
  | "missing";

export const BASE = "/console";

const SINGLE: Record<string, RouteName> = {
  "": "overview",
  things: "things",
  import: "import",
  discovered: "discovered",
  rejects: "rejects",
  clients: "clients",
  topics: "topics",
  retained: "retained",
  explorer: "explorer",
  access: "access",
  settings: "settings",
  login: "login",
};

export function matchRoute(path: string): Route {
  if (path === "/") return { name: "overview", parameter: "" };
  if (path !== BASE && !path.startsWith(`${BASE}/`)) return { name: "missing", parameter: "" };
  const [first = "", second = "", ...more] = path
    .slice(BASE.length + 1)
    .replace(/\/$/, "")
    .split("/");
  if (more.length === 0 && first === "things" && second) {
    try {
      return { name: "thing", parameter: decodeURIComponent(second) };
    } catch {
      return { name: "missing", parameter: "" };
    }
  }
  return { name: second ? "missing" : (SINGLE[first] ?? "missing"), parameter: "" };
}

export const paths = {
  overview: "/",
  things: `${BASE}/things`,
  thing: (thing: string) => `${BASE}/things/${encodeURIComponent(thing)}`,
  import: `${BASE}/import`,
  discovered: `${BASE}/discovered`,
  rejects: `${BASE}/rejects`,
  clients: `${BASE}/clients`,
  topics: `${BASE}/topics`,
  retained: `${BASE}/retained`,
  explorer: `${BASE}/explorer`,
  access: `${BASE}/access`,
  settings: `${BASE}/settings`,
  login: `${BASE}/login`,
};

/** Where to go after the login: only a path of this site, since a `to` from elsewhere must not lead away. */
export function safeTarget(to: string | null, origin: string): string {
  if (!to?.startsWith("/")) return paths.overview;
  const url = new URL(to, origin);
  return url.origin === origin ? url.pathname + url.search : paths.overview;
}
