/** Keeps one series' drawing right for the view: the old one stays until the new one is there. */

import { isAbort } from "../api/client";
import { clock } from "../state/clock.svelte";
import { withLive, type Drawing } from "./drawing";
import type { Span } from "./resolution";
import { SeriesSource } from "./source";

/** A view that is still moving is not fetched for. */
const SETTLE_MS = 80;
/** Live values have made the drawing this much denser than planned: time to fetch coarser ones. */
const DENSE_FACTOR = 4;

export class SeriesLoader {
  drawing = $state.raw<Drawing | null>(null);
  loading = $state(false);
  error = $state.raw<unknown>(null);

  private readonly source: SeriesSource;
  private asked = "";
  private movedAt = -Infinity;
  private aborter: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(thing: string, property: string) {
    this.source = new SeriesSource(thing, property);
  }

  show(view: Span, widthPx: number): void {
    if (widthPx < 1 || this.fits(view, widthPx)) return;
    const wanted = this.keyOf(view, widthPx);
    // Asked for already; time passing moves the view, not what is to be fetched for it.
    if (this.loading && wanted === this.asked) return;
    clearTimeout(this.timer);
    const span = { from: view.from, to: view.to };
    // A single step is fetched at once; only the second of a quick series waits until it ends.
    const now = performance.now();
    const moving = this.drawing !== null && now - this.movedAt < SETTLE_MS;
    this.movedAt = now;
    this.timer = setTimeout(() => void this.load(span, widthPx), moving ? SETTLE_MS : 0);
  }

  append(timeMs: number, value: number): void {
    if (this.drawing) this.drawing = withLive(this.drawing, timeMs, value);
  }

  retry(view: Span, widthPx: number): void {
    this.drawing = null;
    this.show(view, widthPx);
  }

  /** Fetch again without taking the drawing away. */
  refresh(view: Span, widthPx: number): void {
    if (widthPx > 0) void this.load(view, widthPx);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.aborter?.abort();
  }

  private keyOf(view: Span, widthPx: number): string {
    return JSON.stringify(this.source.plan(view, widthPx));
  }

  private fits(view: Span, widthPx: number): boolean {
    const drawing = this.drawing;
    if (!drawing || view.from < drawing.from || view.to > drawing.to) return false;
    if (drawing.times.length > widthPx * DENSE_FACTOR) return false;
    return drawing.everyS === 0 || drawing.everyS === this.source.plan(view, widthPx).everyS;
  }

  private async load(view: Span, widthPx: number): Promise<void> {
    this.aborter?.abort();
    const aborter = (this.aborter = new AbortController());
    this.asked = this.keyOf(view, widthPx);
    this.loading = true;
    try {
      const early = (drawing: Drawing) => (this.drawing ??= drawing);
      this.drawing = await this.source.drawing(view, widthPx, clock.read(), aborter.signal, early);
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = error;
    }
    this.loading = false;
  }
}
