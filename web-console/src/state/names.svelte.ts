/** The descriptions of things whose values come by, so that they are shown under their titles and with their units. */

import { SvelteMap } from "svelte/reactivity";
import { api } from "../api/client";
import type { ThingDescription } from "../api/types";

const KEEP_MAX = 300;
/** A busy platform has more things than a list of the newest values can show: so many are asked for at a time. */
const ASKED_MAX = 4;

class Names {
  /** Null stands for one that is being asked for, or that has no description. */
  private readonly known = new SvelteMap<string, ThingDescription | null>();
  private asked = 0;
  private wanted: string[] = [];

  of(thing: string): ThingDescription | undefined {
    return this.known.get(thing) ?? undefined;
  }

  /** Ask for those that are not known yet. A later call takes the place of what is still to be asked. */
  want(things: Iterable<string>): void {
    this.wanted = [...things];
    this.ask();
  }

  private ask(): void {
    while (this.asked < ASKED_MAX) {
      const thing = this.wanted.shift();
      if (thing === undefined) return;
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
    this.ask();
  }
}

export const names = new Names();
