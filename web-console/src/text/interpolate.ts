/** Catalogue texts: `{name}` is replaced; `key.one` and `key.other` are chosen by the count. */

export type Parameters = Record<string, string | number>;

export function interpolate(text: string, parameters: Parameters): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(parameters[name] ?? whole));
}

/** The plural form's suffix in the locale, "one" or "other"; languages without plurals have "other" only. */
export function pluralSuffix(count: number, locale: string): "one" | "other" {
  return new Intl.PluralRules(locale).select(count) === "one" ? "one" : "other";
}
