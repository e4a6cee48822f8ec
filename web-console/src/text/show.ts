/** Formatting in the viewer's chosen language, for use in components. */

import type { MultiLanguage, Value } from "../api/types";
import { clock } from "../state/clock.svelte";
import { preferences } from "../state/preferences.svelte";
import * as format from "./format";
import { localized } from "./localized";
import { t } from "./messages.svelte";

export const show = {
  /** What a thing or a property is called, in the viewer's language where its description has that. */
  title: (named: { title: string; titles?: MultiLanguage }) =>
    localized(named.title, named.titles, preferences.language),
  number: (value: number) => format.formatNumber(value, preferences.locale),
  count: (value: number) => format.formatCount(value, preferences.locale),
  compact: (value: number) => format.formatCompact(value, preferences.locale),
  bytes: (value: number) => format.formatBytes(value, preferences.locale),
  value: (value: Value) =>
    format.formatValue(value, preferences.locale, { yes: t("value.true"), no: t("value.false") }),
  exactly: (value: Value) =>
    format.formatExactly(value, preferences.locale, { yes: t("value.true"), no: t("value.false") }),
  duration: (seconds: number) => format.formatDuration(seconds, preferences.locale),
  period: (seconds: number) => format.formatPeriod(seconds, preferences.locale),
  time: (ms: number) => format.formatTime(ms, preferences.locale, clock.now),
  fullTime: (ms: number) => format.formatFullTime(ms, preferences.locale),

  /** "12s ago", renewed each second. */
  age: (time: string | number) => {
    const seconds = (clock.now - (typeof time === "number" ? time : Date.parse(time))) / 1000;
    if (seconds < 1.5) return t("time.now");
    return t("time.ago", { duration: format.formatDuration(seconds, preferences.locale) });
  },
};
