/** Client-side routing over the History API. */

import type { Component } from "svelte";
import { withMqttWords } from "../text/messages.svelte";
import { BASE, matchRoute, type RouteName } from "./routes";

/** Each page is code of its own. Those that need no parameter ignore it, hence `never`: any component will do. */
export const pages: Record<RouteName, () => Promise<{ default: Component<never> }>> = {
  overview: () => import("../pages/Overview.svelte"),
  things: () => import("../pages/Things.svelte"),
  thing: () => import("../pages/Thing.svelte"),
  import: () => import("../pages/Import.svelte"),
  discovered: () => import("../pages/Discovered.svelte"),
  rejects: () => import("../pages/Rejects.svelte"),
  clients: () => withMqttWords(import("../pages/Clients.svelte")),
  topics: () => withMqttWords(import("../pages/Topics.svelte")),
  retained: () => withMqttWords(import("../pages/Retained.svelte")),
  explorer: () => withMqttWords(import("../pages/Explorer.svelte")),
  access: () => withMqttWords(import("../pages/Access.svelte")),
  settings: () => import("../pages/Settings.svelte"),
  login: () => import("../pages/Login.svelte"),
  missing: () => import("../pages/Missing.svelte"),
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
