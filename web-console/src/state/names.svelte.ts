/** The descriptions of things whose values come by, so that they are shown under their titles and with their units. */

import { SvelteMap } from "svelte/reactivity";
import { api, ApiError } from "../api/client";
import type { ThingDescription, ThingSummary } from "../api/types";

/** What a list of things tells of one is the same for its main property. */
type Known = Pick<ThingDescription, "title" | "titles" | "properties">;

const KEEP_MAX = 300;
/** A busy platform has more things than a list of the newest values can show: so many are asked for at a time. */
const ASKED_MAX = 4;

class Names {
  /** Null stands for one that is being asked for, or that has no description. */
  private readonly known = new SvelteMap<string, ThingDescription | null>();
  private listed = new Map<string, Known>();
  private asked = 0;
  private wanted: string[] = [];

  of(thing: string): Known | undefined {
    return this.known.get(thing) ?? this.listed.get(thing);
  }

  /** A list of things came: that will do until their descriptions are there. */
  learn(things: readonly ThingSummary[]): void {
    this.listed = new Map(
      things.map(({ main, ...one }) => [
        one.thing,
        { ...one, properties: main ? { [main.property]: main } : {} },
      ]),
    );
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
    } catch (error) {
      // Its name has to do; of one that is not there for good, of another until it is asked for again.
      if (!(error instanceof ApiError && error.status === 404)) this.known.delete(thing);
    }
    this.asked--;
    this.ask();
  }
}

export const names = new Names();
