import { expect, test } from "vitest";
import { unitSymbol } from "./units";

test.each([
  ["Cel", "°C"],
  ["ug/m3", "µg/m³"],
  ["[ppm]", "ppm"],
  ["W.h", "Wh"],
  ["%", "%"],
  ["[custom]", "custom"],
  ["uV", "µV"],
  ["uS/cm", "µS/cm"],
  ["us", "µs"],
  ["dm3/h", "dm³/h"],
  ["m/s2", "m/s²"],
  ["kg.m2", "kg·m²"],
  ["H2O", "H2O"],
  ["", ""],
  [undefined, ""],
])("%s is shown as %s", (code, symbol) => expect(unitSymbol(code)).toBe(symbol));
