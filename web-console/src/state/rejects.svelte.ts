/** The list of rejects, filtered by the platform, and their replay. */

import { api, isAbort, type RejectsMatch } from "../api/client";
import type { Reject, Replayed } from "../api/types";
import { status } from "./status.svelte";

const PAGE = 50;
/** A replayed message goes the whole way through the log before it leaves the list. */
const SETTLE_MS = 1_200;
const REFRESH_MS = 4_000;

export class RejectList {
  rejects = $state.raw<Reject[]>([]);
  total = $state(0);
  next = $state<string | null>(null);
  loading = $state(true);
  replaying = $state(false);
  error = $state.raw<unknown>(null);
  /** Every reason and topic seen so far, to choose from. */
  reasons = $state.raw<string[]>([]);
  topics = $state.raw<string[]>([]);

  private match: RejectsMatch = {};
  private aborter: AbortController | undefined;

  async ask(match: RejectsMatch): Promise<void> {
    this.match = match;
    await this.fetch(null);
  }

  /** Look for new ones now and then, until the returned function is called. Not while older ones are looked at. */
  watch(): () => void {
    const timer = setInterval(() => {
      const busy = document.hidden || this.loading || this.replaying || this.rejects.length > PAGE;
      if (!busy) void this.fetch(null);
    }, REFRESH_MS);
    return () => {
      clearInterval(timer);
      this.aborter?.abort();
    };
  }

  async older(): Promise<void> {
    if (this.next !== null) await this.fetch(this.next);
  }

  /** One reject by its id, or all that match. Throws ApiError. */
  async replay(what: string | RejectsMatch): Promise<Replayed> {
    this.replaying = true;
    try {
      const done = await (typeof what === "string" ? api.replay(what) : api.replayAll(what));
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      await this.fetch(null);
      status.soon();
      return done;
    } finally {
      this.replaying = false;
    }
  }

  private async fetch(next: string | null): Promise<void> {
    this.aborter?.abort();
    const aborter = (this.aborter = new AbortController());
    this.loading = true;
    try {
      const page = await api.rejects({ ...this.match, limit: PAGE, next }, aborter.signal);
      this.rejects = next === null ? page.rejects : [...this.rejects, ...page.rejects];
      this.next = page.next;
      this.total = page.total;
      this.reasons = [...new Set([...this.reasons, ...page.rejects.map((one) => one.reason)])].sort();
      this.topics = [...new Set([...this.topics, ...page.rejects.map((one) => one.topic)])].sort();
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = error;
    }
    this.loading = false;
  }
}
