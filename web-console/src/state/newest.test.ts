import { expect, test } from "vitest";
import { isNewer } from "./newest";

const early = "2026-11-22T08:00:00Z";
const late = "2026-11-22T16:00:00Z";
const at = (time: string, quality = "good") => ({ time, quality });

test("the newest by the thing's own time is current", () => {
  expect(isNewer(at(late), at(early))).toBe(true);
  expect(isNewer(at(early), at(late))).toBe(false);
  expect(isNewer(at(late), at(late))).toBe(true);
});

test("a clock that is ahead hides nothing, and is hidden by the next right one", () => {
  expect(isNewer(at(late, "clock"), at(early))).toBe(false);
  expect(isNewer(at(late, "clock"), at(early, "stale"))).toBe(false);
  expect(isNewer(at(early), at(late, "clock"))).toBe(true);
  expect(isNewer(at(late, "clock"), at(early, "clock"))).toBe(true);
});
