/** The stretch of time that the charts of a page show together. */

import type { Span } from "./resolution";

export const PRESETS = {
  "1h": 3_600_000,
  "24h": 86_400_000,
  "7d": 604_800_000,
  "30d": 2_592_000_000,
  "1y": 31_557_600_000,
} as const;
export type Preset = keyof typeof PRESETS | "all";

export const isPreset = (text: string | null): text is Preset =>
  text !== null && (text === "all" || text in PRESETS);

const SPAN_MS_MIN = 2_000;
const SPAN_MS_MAX = 100 * PRESETS["1y"];
/** How far into the future a view may reach, as a share of its span. */
const AHEAD = 0.05;

export class ChartView {
  from = $state(0);
  to = $state(0);
  /** The right edge goes along with the clock. */
  follow = $state(true);
  preset = $state<Preset | null>(null);

  /** Nobody has chosen a stretch yet. */
  untouched = true;

  readonly span = $derived(this.to - this.from);

  constructor(private readonly now: () => number) {
    this.choose("24h");
    this.untouched = true;
  }

  /**
   * A day in which a thing has sent for minutes only would be a stroke at the right edge: until somebody chooses,
   * the shortest preset is shown that holds all there is.
   */
  fit(firstMs: number): void {
    if (this.untouched && this.preset === "24h" && this.now() - firstMs < PRESETS["1h"]) this.choose("1h");
  }

  /** Show a preset up to now. For "all" the caller says when the first reading was. */
  choose(preset: Preset, firstMs?: number): void {
    const now = this.now();
    const span = preset === "all" ? Math.max(now - (firstMs ?? now), 60_000) * 1.01 : PRESETS[preset];
    this.untouched = false;
    this.preset = preset;
    this.follow = true;
    this.to = now;
    this.from = now - span;
  }

  set(view: Span): void {
    const now = this.now();
    const middle = (view.from + view.to) / 2;
    const span = Math.min(Math.max(view.to - view.from, SPAN_MS_MIN), SPAN_MS_MAX);
    let to = middle + span / 2;
    const edge = now + span * AHEAD;
    if (to > edge) to = edge;
    this.untouched = false;
    this.preset = null;
    this.follow = to >= now;
    this.from = to - span;
    this.to = to;
  }

  /** Zoom by a factor (below 1 shows less time) around a time. */
  zoom(factor: number, around?: number): void {
    // With the present in view it stays where it is: zooming in on what is new is the usual wish.
    const centre = around ?? (this.follow ? this.to : (this.from + this.to) / 2);
    this.set({ from: centre - (centre - this.from) * factor, to: centre + (this.to - centre) * factor });
  }

  pan(ms: number): void {
    this.set({ from: this.from + ms, to: this.to + ms });
  }

  toNow(): void {
    const now = this.now();
    const span = this.span;
    this.follow = true;
    this.to = now;
    this.from = now - span;
  }

  /** Let time pass: a following view moves on once it would show. */
  tick(widthPx: number): void {
    if (!this.follow) return;
    const now = this.now();
    if (now - this.to < this.span / Math.max(widthPx, 1)) return;
    const span = this.span;
    this.to = now;
    this.from = now - span;
  }
}
