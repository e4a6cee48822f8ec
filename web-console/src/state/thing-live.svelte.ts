/** The current values of one thing, kept fresh by the live feed. */

import { api } from "../api/client";
import { watchLive } from "../api/live";
import type { CurrentValue } from "../api/types";
import { isNewer } from "./newest";

/** Values are taken over this often at most, however fast they come. */
const RENDER_MS = 200;
/** Without somebody to draw it, this many waiting values are enough. */
const WAITING_MAX = 2_000;

export class ThingLive {
  values = $state.raw<Record<string, CurrentValue>>({});
  connected = $state(false);
  loaded = $state(false);
  /** When the device was heard of since the page is open; what is uploaded says nothing of it. */
  heard = $state(0);
  /** How often values may have been missed. */
  breaks = $state(0);

  private waiting: CurrentValue[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<(values: CurrentValue[]) => void>();

  /** Begin; undo with what is returned. */
  start(thing: string): () => void {
    const aborter = new AbortController();
    void this.load(thing, aborter.signal);
    const stop = watchLive(
      { things: [thing] },
      (values) => this.take(values),
      (connected) => (this.connected = connected),
      () => {
        this.breaks++;
        void this.load(thing, aborter.signal);
      },
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

  private async load(thing: string, signal: AbortSignal): Promise<void> {
    try {
      const { values } = await api.current([thing], signal);
      this.values = newest(this.values, values);
    } catch {
      // The feed brings them as they come.
    }
    this.loaded = true;
  }

  private take(values: CurrentValue[]): void {
    this.waiting = [...this.waiting, ...values].slice(-WAITING_MAX);
    this.timer ??= setTimeout(() => this.flush(), RENDER_MS);
  }

  private flush(): void {
    this.timer = undefined;
    const batch = this.waiting;
    this.waiting = [];
    this.values = newest(this.values, batch);
    this.heard = Math.max(
      this.heard,
      ...batch.filter((value) => !value.origin).map((value) => Date.parse(value.received)),
    );
    for (const listener of this.listeners) listener(batch);
  }
}

/** A late reading goes into the history alone. */
function newest(
  known: Record<string, CurrentValue>,
  values: readonly CurrentValue[],
): Record<string, CurrentValue> {
  const next = { ...known };
  for (const value of values) {
    const before = next[value.property];
    if (!before || isNewer(value, before)) next[value.property] = value;
  }
  return next;
}
