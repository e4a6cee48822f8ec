/** The console's words, from one catalogue per language (`src/messages`), each loaded when it is first needed. */

import type en from "../messages/en.json";
import { preferences, type Language } from "../state/preferences.svelte";
import { formatCount } from "./format";
import { interpolate, pluralSuffix, type Parameters } from "./interpolate";

export type Key = keyof typeof en;
type StripPlural<K> = K extends `${infer Stem}.one` ? Stem : never;
export type PluralKey = StripPlural<Key>;

const loaders: Record<Language, () => Promise<{ default: Record<string, string> }>> = {
  en: () => import("../messages/en.json"),
  zh: () => import("../messages/zh.json"),
};

let texts = $state.raw<Record<string, string>>({});

export async function loadMessages(language: Language): Promise<void> {
  texts = (await loaders[language]()).default;
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
