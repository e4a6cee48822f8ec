/** Texts of a Thing Description in the viewer's language, where it has them. */

import type { MultiLanguage } from "../api/types";

/**
 * The text under the language's tag, or under a tag of the same language ("zh-CN" for "zh"); else the default one.
 * After a renaming the default is what the person wrote, and older translations no longer fit: `titles` must hold
 * the default text itself, or it is not used.
 */
export function localized(text: string, texts: MultiLanguage | undefined, language: string): string {
  if (!texts || !Object.values(texts).includes(text)) return text;
  const same = Object.keys(texts).find((tag) => tag.toLowerCase().split("-")[0] === language);
  return texts[language] ?? (same === undefined ? text : (texts[same] ?? text));
}
