/** Who is looking: the answer of /api/me, and the way to the login page and back. */

import { api, ApiError, whenUnauthorized } from "../api/client";
import type { Me } from "../api/types";
import { router } from "./router.svelte";
import { store, stored } from "./preferences.svelte";
import { paths } from "./routes";

class Session {
  me = $state.raw<Me | null>(null);
  /** The first question is answered, or the platform cannot be reached. */
  known = $state(false);
  unreachable = $state(false);
  /** The last visit was somebody's: the page may be laid out before the platform has said so again. */
  readonly expected = stored("session") === "yes";

  /** Viewers only look. */
  get mayChange(): boolean {
    return this.me !== null && this.me.role !== "viewer";
  }

  get isAdmin(): boolean {
    return this.me?.role === "admin";
  }

  async load(): Promise<void> {
    whenUnauthorized(() => this.toLogin());
    try {
      this.me = await api.me();
      this.unreachable = false;
    } catch (error) {
      this.me = null;
      this.unreachable = !(error instanceof ApiError) || error.status === 0 || error.status >= 500;
    }
    store("session", this.me ? "yes" : "no");
    this.known = true;
  }

  toLogin(): void {
    this.me = null;
    if (router.route.name === "login") return;
    const from = router.url.pathname + router.url.search;
    router.go(from === "/" ? paths.login : `${paths.login}?to=${encodeURIComponent(from)}`, {
      replace: true,
    });
  }

  /** Throws ApiError. */
  async login(user: string, password: string): Promise<void> {
    await api.login(user, password);
    await this.load();
  }

  async logout(): Promise<void> {
    await api.logout();
    this.me = null;
    router.go(paths.login);
  }
}

export const session = new Session();
