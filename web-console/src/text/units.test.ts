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
  ["", ""],
  [undefined, ""],
])("%s is shown as %s", (code, symbol) => expect(unitSymbol(code)).toBe(symbol));
