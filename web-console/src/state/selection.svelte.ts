/** Which properties of a thing are charted, kept in the address so that it can be shared. */

import type { PropertyAffordance, ThingDescription, Value } from "../api/types";
import { SERIES_MAX, seriesColor } from "../chart/colors";
import { localized } from "../text/localized";
import { unitSymbol } from "../text/units";
import { preferences } from "./preferences.svelte";
import { router } from "./router.svelte";

export type Sort = "number" | "state" | "text";

export interface Property {
  name: string;
  title: string;
  unit: string;
  sort: Sort;
}

/** How a property is shown: a curve, stretches of a state, or a list of values. */
export function sortOf(affordance: PropertyAffordance, current: Value | undefined): Sort {
  const type = affordance.type ?? (current === null ? undefined : typeof current);
  if (type === "number" || type === "integer" || type === "bigint") return "number";
  if (type === "boolean" || type === "string") return "state";
  return "text";
}

export function propertiesOf(td: ThingDescription, values: Record<string, { value: Value }>): Property[] {
  const names = new Set([...Object.keys(td.properties ?? {}), ...Object.keys(values)]);
  return [...names].map((name) => {
    const affordance = td.properties?.[name] ?? {};
    return {
      name,
      title: localized(affordance.title ?? name, affordance.titles, preferences.language),
      unit: unitSymbol(affordance.unit),
      sort: sortOf(affordance, values[name]?.value),
    };
  });
}

/** The selected names, in the order chosen. Without a choice: the first numeric property, else the first. */
export function selectedNames(list: readonly Property[], chosen: readonly string[]): string[] {
  const known = chosen.filter((name) => list.some((one) => one.name === name)).slice(0, SERIES_MAX);
  if (known.length) return known;
  const first = list.find((one) => one.sort === "number") ?? list[0];
  return first ? [first.name] : [];
}

export const chosenInAddress = (): string[] => router.url.searchParams.getAll("property");

export function choose(names: readonly string[]): void {
  const url = new URL(router.url);
  url.searchParams.delete("property");
  for (const name of names) url.searchParams.append("property", name);
  router.go(url.href, { replace: true });
}

export const colorOf = (names: readonly string[], name: string): string => seriesColor(names.indexOf(name));
