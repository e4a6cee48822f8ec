import { describe, expect, test } from "vitest";
import * as format from "./format";

describe("numbers", () => {
  test.each([
    [0, "0"],
    [21.456789, "21.46"],
    [-0.012345, "-0.0123"],
    [101325.27, "101,325.3"],
    [1e-9, "1E-9"],
    [2.5e16, "2.5E16"],
    [9007199254740991, "9,007,199,254,740,991"],
    [123456789012.25, "123,456,789,012.3"],
    [NaN, "NaN"],
  ])("%d is shown as %s", (value, text) => expect(format.formatNumber(value, "en")).toBe(text));

  test("follow the locale", () => {
    expect(format.formatNumber(1234.5, "de")).toBe("1.234,5");
    expect(format.formatCompact(48_200_000, "en")).toBe("48.2M");
    expect(format.formatCompact(48_200_000, "zh-CN")).toBe("4820万");
    expect(format.formatCount(9420, "en")).toBe("9,420");
  });
});

test.each([
  [600, "10 min"],
  [5_400, "90 min"],
  [86_400, "1 day"],
  [0.25, "0.25 sec"],
  [61, "61 sec"],
])("a period of %d s is %s", (seconds, text) => expect(format.formatPeriod(seconds, "en")).toBe(text));

test("bytes have a unit that fits", () => {
  expect(format.formatBytes(0, "en")).toBe("0 B");
  expect(format.formatBytes(1_500, "en")).toBe("1.5 kB");
  expect(format.formatBytes(412e9, "en")).toBe("412 GB");
});

test("durations have their largest unit", () => {
  expect(format.formatDuration(0.4, "en")).toBe("0s");
  expect(format.formatDuration(59.9, "en")).toBe("59s");
  expect(format.formatDuration(3_700, "en")).toBe("1h");
  expect(format.formatDuration(86_400 * 3, "zh-CN")).toBe("3天");
  expect(format.formatDuration(86_400 * 800, "en")).toBe("2 years");
  expect(format.formatDuration(-5, "en")).toBe("0s");
});

test("values of every kind are text", () => {
  const words = { yes: "on", no: "off" };
  expect(format.formatValue(true, "en", words)).toBe("on");
  expect(format.formatValue(false, "en", words)).toBe("off");
  expect(format.formatValue("NW", "en", words)).toBe("NW");
  expect(format.formatValue(null, "en", words)).toBe("–");
  expect(format.formatValue({ a: [1] }, "en", words)).toBe('{"a":[1]}');
  expect(format.formatValue({ a: [18446744073709551617n] }, "en", words)).toBe(
    '{"a":[18446744073709551617]}',
  );
  expect(format.formatValue(18446744073709551617n, "en", words)).toBe("18,446,744,073,709,551,617");
});

test.each<[number, string]>([
  [21.456789, "21.456789"],
  [0.1 + 0.2, "0.30000000000000004"],
  [-1234.5, "-1,234.5"],
  [1e-9, "1E-9"],
  [1e22, "1E+22"],
  [5, "5"],
])("%d has all its digits", (value, text) =>
  expect(format.formatExactly(value, "en", { yes: "on", no: "off" })).toBe(text),
);

describe("times", () => {
  const now = new Date(2026, 10, 22, 8, 30, 5).getTime();

  test("of today need no date", () => {
    expect(format.formatTime(now - 60_000, "en-GB", now)).toBe("08:29:05");
    expect(format.formatTime(now - 86_400_000, "en-GB", now)).toContain("21 Nov 2026");
  });

  test("on an axis are as fine as the step", () => {
    expect(format.formatTick(now, 1, "en-GB", false)).toBe("08:30:05");
    expect(format.formatTick(now, 3600, "en-GB", true)).toBe("08:30\n22 Nov");
    expect(format.formatTick(now, 86_400, "en-GB", true)).toBe("22 Nov");
    expect(format.formatTick(now, 86_400 * 31, "en-GB", false)).toBe("Nov");
    expect(format.formatTick(now, 86_400 * 31, "zh-CN", true)).toBe("2026年11月");
  });
});
