/** The descriptions of things whose values come by, so that they are shown under their titles and with their units. */

import { SvelteMap } from "svelte/reactivity";
import { api } from "../api/client";
import type { ThingDescription } from "../api/types";

const KEEP_MAX = 300;
/** A busy platform has more things than a list of the newest values can show: so many are asked for at a time. */
const ASKED_MAX = 4;

class Names {
  private readonly known = new SvelteMap<string, ThingDescription | null>();
  private asked = 0;

  of(thing: string): ThingDescription | undefined {
    return this.known.get(thing) ?? undefined;
  }

  /** Ask for those that are not known yet; null stands for one that has no description. */
  want(things: Iterable<string>): void {
    for (const thing of things) {
      if (this.asked >= ASKED_MAX) return;
      if (!this.known.has(thing)) void this.fetch(thing);
    }
  }

  private async fetch(thing: string): Promise<void> {
    if (this.known.size >= KEEP_MAX) this.known.clear();
    this.known.set(thing, null);
    this.asked++;
    try {
      this.known.set(thing, await api.thing(thing));
    } catch {
      // Its name has to do.
    }
    this.asked--;
  }
}

export const names = new Names();
