/** Questions about several properties of a thing that are asked at one moment go as one request. */

import { api, type HistoryRequest } from "../api/client";
import type { History, HistorySeries } from "../api/types";

/** Few enough that a page of many charts fills bit by bit. */
const PROPERTIES_MAX = 8;

export type Query = Omit<HistoryRequest, "property">;

export interface Found {
  series: HistorySeries | undefined;
  /** Whether this is all, and no first page. */
  complete: boolean;
}

interface Wish {
  property: string;
  signal: AbortSignal;
  resolve: (found: Found) => void;
  reject: (error: unknown) => void;
}

export class Together {
  private readonly gathering = new Map<string, Wish[]>();

  constructor(
    private readonly history: (query: HistoryRequest, signal: AbortSignal) => Promise<History> = api.history,
  ) {}

  ask(query: Query, property: string, signal: AbortSignal): Promise<Found> {
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      this.gather(query).push({ property, signal, resolve, reject });
    });
  }

  private gather(query: Query): Wish[] {
    const key = JSON.stringify(query);
    const open = this.gathering.get(key);
    if (open && open.length < PROPERTIES_MAX) return open;
    const wishes: Wish[] = [];
    this.gathering.set(key, wishes);
    setTimeout(() => {
      if (this.gathering.get(key) === wishes) this.gathering.delete(key);
      void this.send(query, wishes);
    });
    return wishes;
  }

  private async send(query: Query, all: Wish[]): Promise<void> {
    const wishes = all.filter((wish) => !wish.signal.aborted);
    if (!wishes.length) return;
    const aborter = new AbortController();
    const left = () => wishes.every((wish) => wish.signal.aborted) && aborter.abort();
    for (const wish of wishes) wish.signal.addEventListener("abort", left);
    try {
      const property = wishes.map((wish) => wish.property);
      const answer = await this.history({ ...query, property }, aborter.signal);
      if (answer.next && wishes.length > 1) {
        // The one that is more than a page cuts off the others too.
        await Promise.all(wishes.map((wish) => this.send(query, [wish])));
        return;
      }
      for (const wish of wishes) {
        const series = answer.series.find((one) => one.property === wish.property);
        wish.resolve({ series, complete: !answer.next });
      }
    } catch (error) {
      for (const wish of wishes) wish.reject(error);
    }
  }
}
