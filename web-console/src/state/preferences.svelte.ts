/** What the viewer chose on this device: theme and language. */

export type Theme = "auto" | "light" | "dark";
export type Language = "en" | "zh";

const PREFIX = "allthings.";

type Stored = "theme" | "language" | "session";

/** Storage may be forbidden (private windows); then a choice lasts as long as the page. */
export function stored(name: Stored): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function store(name: Stored, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // See above.
  }
}

function firstLanguage(): Language {
  const chosen = stored("language");
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function firstTheme(): Theme {
  const chosen = stored("theme");
  return chosen === "light" || chosen === "dark" ? chosen : "auto";
}

class Preferences {
  theme = $state<Theme>(firstTheme());
  language = $state<Language>(firstLanguage());

  /** What to hand to Intl: the viewer's own variant of the language where the browser says one. */
  readonly locale = $derived(
    navigator.languages.find((tag) => tag.toLowerCase().startsWith(this.language)) ??
      (this.language === "zh" ? "zh-CN" : "en"),
  );

  /** Follow the choice on the document element. Call once, where effects may live. */
  follow(): void {
    $effect(() => {
      const root = document.documentElement;
      root.lang = this.language === "zh" ? "zh-CN" : "en";
      if (this.theme === "auto") delete root.dataset["theme"];
      else root.dataset["theme"] = this.theme;
    });
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    store("theme", theme);
  }

  setLanguage(language: Language): void {
    this.language = language;
    store("language", language);
  }
}

export const preferences = new Preferences();
