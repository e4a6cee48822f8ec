/** The style sheet's colours for a canvas, which knows no custom properties. */

export const SERIES_MAX = 6;
export const seriesColor = (index: number) => `var(--series-${(index % SERIES_MAX) + 1})`;

/** A CSS colour as the browser computes it within `element`, for the theme that holds now. */
export function computedColor(element: HTMLElement, css: string): string {
  const probe = document.createElement("span");
  probe.style.color = css;
  probe.hidden = true;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** The colour made transparent; `color` is what computedColor gave ("rgb(…)"). */
export function translucent(color: string, alpha: number): string {
  return color.replace(/^rgb\((.+)\)$/, `rgba($1, ${alpha})`);
}
