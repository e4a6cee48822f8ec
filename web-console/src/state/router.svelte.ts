/**
 * Client-side routes over the History API. All but the overview live under /console/, since /things, /events and
 * others are the platform's API.
 */

import type { Component } from "svelte";

export interface Route {
  name: RouteName;
  /** The part of the path that names one thing, decoded. */
  parameter: string;
}

export type RouteName =
  "overview" | "things" | "thing" | "discovered" | "rejects" | "settings" | "login" | "missing";

const BASE = "/console";

const SINGLE: Record<string, RouteName> = {
  "": "overview",
  things: "things",
  discovered: "discovered",
  rejects: "rejects",
  settings: "settings",
  login: "login",
};

/** Each page is code of its own. Those that need no parameter ignore it, hence `never`: any component will do. */
export const pages: Record<RouteName, () => Promise<{ default: Component<never> }>> = {
  overview: () => import("../pages/Overview.svelte"),
  things: () => import("../pages/Things.svelte"),
  thing: () => import("../pages/Thing.svelte"),
  discovered: () => import("../pages/Discovered.svelte"),
  rejects: () => import("../pages/Rejects.svelte"),
  settings: () => import("../pages/Settings.svelte"),
  login: () => import("../pages/Login.svelte"),
  missing: () => import("../pages/Missing.svelte"),
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
  discovered: `${BASE}/discovered`,
  rejects: `${BASE}/rejects`,
  settings: `${BASE}/settings`,
  login: `${BASE}/login`,
};

class Router {
  url = $state.raw(new URL(location.href));
  readonly route = $derived(matchRoute(this.url.pathname));

  /** Follow links and the browser's back and forward. Call once; undo with what is returned. */
  start(): () => void {
    const onPop = () => (this.url = new URL(location.href));
    const onClick = (event: MouseEvent) => this.followLink(event);
    addEventListener("popstate", onPop);
    document.addEventListener("click", onClick);
    return () => {
      removeEventListener("popstate", onPop);
      document.removeEventListener("click", onClick);
    };
  }

  go(address: string, { replace = false } = {}): void {
    const url = new URL(address, location.origin);
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    const moved = url.pathname !== this.url.pathname;
    this.url = url;
    if (moved && !replace) scrollTo({ top: 0, behavior: "instant" });
  }

  /** Write the page's state into the query, without a new entry in the browser's history. */
  setQuery(parameters: Record<string, string | undefined>): void {
    const url = new URL(this.url);
    for (const [name, value] of Object.entries(parameters)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    if (url.href === this.url.href) return;
    history.replaceState(null, "", url);
    this.url = url;
  }

  private followLink(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname !== "/" && !link.pathname.startsWith(`${BASE}/`)) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const router = new Router();
