/** The platform's status, polled while somebody looks, and its recent past for the overview's small charts. */

import { api } from "../api/client";
import type { Status } from "../api/types";
import { clock } from "./clock.svelte";
import { session } from "./session.svelte";

export interface Sample {
  ms: number;
  messages: number;
  readings: number;
  rejects: number;
  lag: number;
}

/** Each second on the overview; elsewhere only the counts in the menu need it. */
const FAST_MS = 1_000;
const SLOW_MS = 10_000;
/** The past kept: the last five minutes. */
const KEEP_MS = 300_000;

class StatusFeed {
  current = $state.raw<Status | null>(null);
  samples = $state.raw<Sample[]>([]);
  failed = $state(false);

  private fast = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;

  /** Begin polling. Call once; undo with what is returned. */
  start(): () => void {
    const onVisibility = () => this.soon();
    document.addEventListener("visibilitychange", onVisibility);
    this.soon();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      clearTimeout(this.timer);
    };
  }

  /** Poll each second until the returned function is called. */
  watchClosely(): () => void {
    this.fast++;
    this.soon();
    return () => void this.fast--;
  }

  /** Ask again now, for example after adopting a thing. */
  soon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.poll(), 0);
  }

  private async poll(): Promise<void> {
    clearTimeout(this.timer);
    if (document.hidden || this.busy) return;
    if (session.me) {
      this.busy = true;
      try {
        this.take(await api.status());
        this.failed = false;
      } catch {
        this.failed = true;
      }
      this.busy = false;
    }
    this.timer = setTimeout(() => void this.poll(), this.fast > 0 ? FAST_MS : SLOW_MS);
  }

  private take(status: Status): void {
    clock.learn(Date.parse(status.now));
    this.current = status;
    const ms = Date.parse(status.now);
    const sample = {
      ms,
      ...status.rates,
      lag: Math.max(0, ...status.consumers.map((consumer) => consumer.lag_s)),
    };
    this.samples = [...this.samples.filter((one) => one.ms > ms - KEEP_MS && one.ms < ms), sample];
  }
}

export const status = new StatusFeed();
