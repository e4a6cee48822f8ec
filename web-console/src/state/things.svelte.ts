/** The list of things as far as it has been scrolled: pages fetched one after the other. */

import { api, isAbort, type ThingsQuery } from "../api/client";
import type { CurrentValue, ThingSummary } from "../api/types";
import { isNewer } from "./newest";

const PAGE = 100;

export class ThingList {
  things = $state.raw<ThingSummary[]>([]);
  total = $state(0);
  loading = $state(true);
  error = $state.raw<unknown>(null);

  private query: ThingsQuery = {};
  private next: string | null = null;
  private aborter: AbortController | undefined;

  /** Begin anew with another question. The old rows stay until the first new page is there. */
  async ask(query: ThingsQuery): Promise<void> {
    this.query = query;
    this.next = null;
    await this.fetch(true);
  }

  get complete(): boolean {
    return this.next === null;
  }

  async more(): Promise<void> {
    if (this.loading || this.next === null) return;
    await this.fetch(false);
  }

  stop(): void {
    this.aborter?.abort();
  }

  /** Put new values into the rows that show them. */
  take(values: readonly CurrentValue[]): void {
    const news = new Map<string, CurrentValue[]>();
    for (const value of values) {
      const key = `${value.thing}/${value.property}`;
      const known = news.get(key);
      if (known) known.push(value);
      else news.set(key, [value]);
    }
    this.things = this.things.map((thing) => {
      const { main } = thing;
      const found = main && news.get(`${thing.thing}/${main.property}`);
      if (!main || !found) return thing;
      let next = main;
      for (const { value, time, quality } of found)
        if (isNewer({ time, quality }, next)) next = { ...next, value, time, quality };
      // An upload does not mean that the device is there.
      const heard = found.filter((value) => !value.origin).at(-1);
      return heard ? { ...thing, main: next, online: true, seen: heard.received } : { ...thing, main: next };
    });
  }

  forget(thing: string): void {
    this.things = this.things.filter((one) => one.thing !== thing);
    this.total = Math.max(0, this.total - 1);
  }

  private async fetch(first: boolean): Promise<void> {
    this.aborter?.abort();
    const aborter = (this.aborter = new AbortController());
    this.loading = true;
    try {
      const page = await api.things({ ...this.query, limit: PAGE, next: this.next }, aborter.signal);
      this.things = first ? page.things : [...this.things, ...page.things];
      this.total = page.total;
      this.next = page.next;
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = error;
    }
    this.loading = false;
  }
}
