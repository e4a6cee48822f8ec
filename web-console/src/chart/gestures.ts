/** Wheel, pinch and drag on a plot's surface, as wishes for another view. */

export interface GestureTarget {
  /** The time under a pixel from the plot's left edge, milliseconds. */
  timeAt(px: number): number;
  /** Milliseconds of one pixel. */
  msPerPx(): number;
  zoom(factor: number, around: number): void;
  pan(ms: number): void;
}

const WHEEL_ZOOM = 0.0016;
/** A trackpad's pinch arrives as a wheel with Ctrl and small steps. */
const PINCH_ZOOM = 0.01;
/** While the page itself is being scrolled the wheel goes on scrolling it, even when a chart comes under it. */
const SCROLL_REST_MS = 350;

let scrolledAt = -Infinity;
if (typeof addEventListener === "function") {
  addEventListener("scroll", (event) => (scrolledAt = event.timeStamp), { passive: true, capture: true });
}

/** Listen on `surface` until the returned function is called. */
export function listenGestures(surface: HTMLElement, target: GestureTarget): () => void {
  const stops = [listenWheel(surface, target), listenPointers(surface, target)];
  return () => stops.forEach((stop) => stop());
}

function listenWheel(surface: HTMLElement, target: GestureTarget): () => void {
  const onWheel = (event: WheelEvent) => {
    if (!event.ctrlKey && event.timeStamp - scrolledAt < SCROLL_REST_MS) return;
    event.preventDefault();
    const line = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      target.pan(event.deltaX * line * target.msPerPx());
      return;
    }
    const rate = event.ctrlKey ? PINCH_ZOOM : WHEEL_ZOOM;
    const left = surface.getBoundingClientRect().left;
    target.zoom(Math.exp(event.deltaY * line * rate), target.timeAt(event.clientX - left));
  };
  surface.addEventListener("wheel", onWheel, { passive: false });
  return () => surface.removeEventListener("wheel", onWheel);
}

/** One finger (or Shift and the mouse) pans, two fingers pinch. The plain mouse drag selects: the plot's own. */
function listenPointers(surface: HTMLElement, target: GestureTarget): () => void {
  const pointers = new Map<number, number>();

  const onDown = (event: PointerEvent) => {
    const pans = event.pointerType === "touch" || event.shiftKey || event.button === 1;
    if (!pans) return;
    pointers.set(event.pointerId, event.clientX);
    surface.setPointerCapture(event.pointerId);
    event.preventDefault();
  };
  const onMove = (event: PointerEvent) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) return;
    pointers.set(event.pointerId, event.clientX);
    if (pointers.size === 1) {
      target.pan((before - event.clientX) * target.msPerPx());
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1] ?? before;
    const wasApart = Math.max(Math.abs(before - other), 8);
    const isApart = Math.max(Math.abs(event.clientX - other), 8);
    const left = surface.getBoundingClientRect().left;
    target.zoom(wasApart / isApart, target.timeAt((event.clientX + other) / 2 - left));
  };
  const onUp = (event: PointerEvent) => pointers.delete(event.pointerId);

  surface.addEventListener("pointerdown", onDown);
  surface.addEventListener("pointermove", onMove);
  surface.addEventListener("pointerup", onUp);
  surface.addEventListener("pointercancel", onUp);
  return () => {
    surface.removeEventListener("pointerdown", onDown);
    surface.removeEventListener("pointermove", onMove);
    surface.removeEventListener("pointerup", onUp);
    surface.removeEventListener("pointercancel", onUp);
  };
}
