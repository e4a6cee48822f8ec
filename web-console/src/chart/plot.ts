/** Builds the options of a uPlot chart in the console's look. */

import type uPlot from "uplot";
import { formatNumber, formatTick } from "../text/format";
import { translucent } from "./colors";

export interface Line {
  label: string;
  /** Symbol for people; lines of one unit share an axis. */
  unit: string;
  /** Computed colours. */
  color: string;
  /** Buckets with a band of minimum and maximum. */
  banded: boolean;
}

export interface Look {
  text: string;
  grid: string;
  page: string;
  font: string;
  locale: string;
  compact: boolean;
}

const BAND_ALPHA = 0.16;
const AXIS_PAD_PX = 12;
/** Beside the plot; a second axis takes more. */
const RIGHT_PAD_PX = 14;
/** The default range of an axis has no room of its own; this share of the values' span is added. */
const RANGE_PAD = 0.08;
/** Columns of one line: value, low, high. */
export const COLUMNS_PER_LINE = 3;

export function scaleKey(lines: readonly Line[], line: Line): string {
  const units = [...new Set(lines.map((one) => one.unit))];
  return `y${units.indexOf(line.unit)}`;
}

function seriesOf(lines: readonly Line[]): uPlot.Series[] {
  return lines.flatMap((line) => {
    const scale = scaleKey(lines, line);
    const edge: uPlot.Series = { scale, width: 0, points: { show: false }, stroke: "transparent" };
    return [
      { label: line.label, scale, stroke: line.color, width: 1.6, points: { size: 4 } },
      edge,
      { ...edge },
    ];
  });
}

function bandsOf(lines: readonly Line[]): uPlot.Band[] {
  return lines.flatMap((line, index) => {
    if (!line.banded) return [];
    const first = 1 + index * COLUMNS_PER_LINE;
    return [
      { series: [first + 2, first + 1] as [number, number], fill: translucent(line.color, BAND_ALPHA) },
    ];
  });
}

/** How wide the widest of some labels is, in CSS pixels: the font is set without the screen's factor. */
function widthPx(plot: uPlot, look: Look, labels: readonly string[]): number {
  plot.ctx.font = look.font;
  return Math.max(0, ...labels.map((text) => plot.ctx.measureText(text).width));
}

/** Whether the right edge leaves a time's label whole. */
function hasRoom(plot: uPlot, look: Look, split: number, text: string): boolean {
  const edge = plot.bbox.width / devicePixelRatio + RIGHT_PAD_PX;
  return plot.valToPos(split, "x") + widthPx(plot, look, text.split("\n")) / 2 <= edge;
}

function timeAxis(look: Look): uPlot.Axis {
  return {
    stroke: look.text,
    font: look.font,
    grid: { stroke: look.grid, width: 1 },
    ticks: { show: false },
    size: look.compact ? 26 : 42,
    gap: 6,
    space: look.compact ? 70 : 80,
    values: (plot, splits, _, __, step) => {
      let day = "";
      return splits.map((split) => {
        const today = new Date(split * 1000).toDateString();
        const withDate = !look.compact && today !== day;
        const text = formatTick(split * 1000, step, look.locale, withDate);
        // A label that the right edge would cut in two is left out; the next one has the date then.
        if (!hasRoom(plot, look, split, text)) return "";
        day = today;
        return text;
      });
    },
  };
}

function valueAxes(lines: readonly Line[], look: Look): uPlot.Axis[] {
  const keys = [...new Set(lines.map((line) => scaleKey(lines, line)))];
  return keys.map((scale, index) => ({
    scale,
    side: index === 0 ? 3 : 1,
    // A third unit has a scale but no axis: two are what a reader can follow.
    show: index < 2,
    stroke:
      keys.length > 1
        ? (lines.find((line) => scaleKey(lines, line) === scale)?.color ?? look.text)
        : look.text,
    font: look.font,
    grid: { show: index === 0, stroke: look.grid, width: 1 },
    ticks: { show: false },
    gap: 6,
    space: look.compact ? 30 : 44,
    // Without data there is nothing that a figure would say.
    values: (plot, splits) =>
      plot.data[0].length ? splits.map((split) => formatNumber(split, look.locale)) : splits.map(() => ""),
    size: (plot, values) => Math.ceil(widthPx(plot, look, values ?? [])) + AXIS_PAD_PX,
  }));
}

function padded(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const span = high - low || Math.abs(high) * 0.1 || 1;
  const bottom = low - span * RANGE_PAD;
  // A quantity that is never negative keeps its zero.
  return [low >= 0 && bottom < 0 ? 0 : bottom, high + span * RANGE_PAD];
}

export function plotOptions(
  lines: readonly Line[],
  look: Look,
  size: { width: number; height: number },
  range: () => [number, number],
): Omit<uPlot.Options, "hooks" | "plugins"> {
  const scales: uPlot.Scales = { x: { time: true, range: () => range() } };
  for (const line of lines) scales[scaleKey(lines, line)] = { range: (_, low, high) => padded(low, high) };
  return {
    ...size,
    legend: { show: false },
    padding: [10, RIGHT_PAD_PX, 0, 0],
    scales,
    series: [{}, ...seriesOf(lines)],
    bands: bandsOf(lines),
    axes: [timeAxis(look), ...valueAxes(lines, look)],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 8, width: 2, fill: look.page },
      bind: {
        // Shift and the middle button pan; double click is handled by the chart.
        mousedown: (_, __, handler) => (event) => {
          if (event.button === 0 && !event.shiftKey) handler(event);
          return null;
        },
        dblclick: () => () => null,
      },
    },
  };
}
