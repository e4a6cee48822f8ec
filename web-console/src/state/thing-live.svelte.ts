/** The current values of one thing, kept fresh by the live feed. */

import { api } from "../api/client";
import { watchLive } from "../api/live";
import type { CurrentValue } from "../api/types";

/** Values are taken over this often at most, however fast they come. */
const RENDER_MS = 200;
/** Without somebody to draw it, this many waiting values are enough. */
const WAITING_MAX = 2_000;

export class ThingLive {
  values = $state.raw<Record<string, CurrentValue>>({});
  connected = $state(false);
  loaded = $state(false);

  private waiting: CurrentValue[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<(values: CurrentValue[]) => void>();

  /** Begin; undo with what is returned. */
  start(thing: string): () => void {
    const aborter = new AbortController();
    api
      .current([thing], aborter.signal)
      .then(({ values }) => {
        // What the feed brought meanwhile is newer.
        this.values = { ...Object.fromEntries(values.map((one) => [one.property, one])), ...this.values };
      })
      .catch(() => {})
      .finally(() => (this.loaded = true));
    const stop = watchLive(
      { things: [thing] },
      (values) => this.take(values),
      (connected) => (this.connected = connected),
    );
    return () => {
      aborter.abort();
      clearTimeout(this.timer);
      stop();
    };
  }

  /** Hear of each batch as well, until the returned function is called. */
  listen(listener: (values: CurrentValue[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private take(values: CurrentValue[]): void {
    this.waiting = [...this.waiting, ...values].slice(-WAITING_MAX);
    this.timer ??= setTimeout(() => this.flush(), RENDER_MS);
  }

  private flush(): void {
    this.timer = undefined;
    const batch = this.waiting;
    this.waiting = [];
    const next = { ...this.values };
    for (const value of batch) {
      const known = next[value.property];
      // A late reading goes into the history; the current value is the newest by the thing's own time.
      if (!known || Date.parse(value.time) >= Date.parse(known.time)) next[value.property] = value;
    }
    this.values = next;
    for (const listener of this.listeners) listener(batch);
  }
}
