/** The wall clock for everything that shows an age: one timer for the whole page. */

import { createSubscriber } from "svelte/reactivity";

class Clock {
  /** How far the platform's clock is ahead of this one; ages are of the platform's times. */
  private offsetMs = 0;

  private readonly subscribe = createSubscriber((update) => {
    const timer = setInterval(() => {
      if (!document.hidden) update();
    }, 1000);
    return () => clearInterval(timer);
  });

  /** Milliseconds since the epoch; where it is read reactively, it is read again each second. */
  get now(): number {
    this.subscribe();
    return this.read();
  }

  read(): number {
    return Date.now() + this.offsetMs;
  }

  /** Learn the platform's time. Differences under two seconds are the network's. */
  learn(platformMs: number): void {
    const offset = platformMs - Date.now();
    this.offsetMs = Math.abs(offset) > 2000 ? offset : 0;
  }
}

export const clock = new Clock();
