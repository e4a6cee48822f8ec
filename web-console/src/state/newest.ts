/** Which of two values of a property is the current one. */

interface Timed {
  time: string;
  quality: string;
}

/**
 * Whether a value takes the place of the one before. The current value is the newest by the thing's own time; but one
 * whose clock was wrong never hides one whose clock was right.
 */
export function isNewer(value: Timed, before: Timed): boolean {
  const [wrong, wrongBefore] = [value.quality === "clock", before.quality === "clock"];
  if (wrong !== wrongBefore) return wrongBefore;
  return Date.parse(value.time) >= Date.parse(before.time);
}
