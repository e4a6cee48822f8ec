/**
 * The console's words, from catalogues per language (`src/messages`), each loaded when it is first needed: one for all
 * pages, and one that only those about MQTT need.
 */

import type en from "../messages/en.json";
import type mqttEn from "../messages/mqtt.en.json";
import { preferences, type Language } from "../state/preferences.svelte";
import { formatCount } from "./format";
import { interpolate, pluralSuffix, type Parameters } from "./interpolate";

export type Key = keyof typeof en | keyof typeof mqttEn;
type StripPlural<K> = K extends `${infer Stem}.one` ? Stem : never;
export type PluralKey = StripPlural<Key>;

type Part = "all" | "mqtt";
type Words = Record<string, string>;

const loaders: Record<Language, Record<Part, () => Promise<{ default: Words }>>> = {
  en: { all: () => import("../messages/en.json"), mqtt: () => import("../messages/mqtt.en.json") },
  zh: { all: () => import("../messages/zh.json"), mqtt: () => import("../messages/mqtt.zh.json") },
};

const needed = new Set<Part>(["all"]);
let words = $state.raw<Partial<Record<Part, Words>>>({});
const texts = $derived<Words>({ ...words.all, ...words.mqtt });

export async function loadMessages(language: Language): Promise<void> {
  await Promise.all([...needed].map((part) => load(language, part)));
}

async function load(language: Language, part: Part): Promise<void> {
  const catalogue = (await loaders[language][part]()).default;
  words = { ...words, [part]: catalogue };
}

/** A page's code and the words about MQTT, side by side. */
export async function withMqttWords<T>(page: Promise<T>): Promise<T> {
  if (needed.has("mqtt") && words.mqtt) return page;
  needed.add("mqtt");
  const [module] = await Promise.all([page, load(preferences.language, "mqtt")]);
  return module;
}

export async function chooseLanguage(language: Language): Promise<void> {
  await loadMessages(language);
  preferences.setLanguage(language);
}

export function t(key: Key, parameters: Parameters = {}): string {
  return interpolate(texts[key] ?? key, parameters);
}

/** A text with a count in it, `{n}`, in the right plural form. */
export function tn(key: PluralKey, count: number, parameters: Parameters = {}): string {
  const form = pluralSuffix(count, preferences.locale);
  const text = texts[`${key}.${form}`] ?? texts[`${key}.other`] ?? key;
  return interpolate(text, { n: formatCount(count, preferences.locale), ...parameters });
}
