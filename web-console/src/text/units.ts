/**
 * UCUM codes as people write them. What is not listed follows rules: no brackets, raised powers, µ. The command line
 * does the same (src/allthings/things/units.py).
 */

const SYMBOLS: Record<string, string> = {
  "1": "",
  By: "B",
  KBy: "kB",
  MBy: "MB",
  GBy: "GB",
  Cel: "°C",
  "[degF]": "°F",
  "[ppth]": "‰",
  deg: "°",
  "W.h": "Wh",
  "kW.h": "kWh",
  "MW.h": "MWh",
  "GW.h": "GWh",
  "V.A": "VA",
  "kV.A": "kVA",
  "var.h": "varh",
  "kvar.h": "kvarh",
  "V.A.h": "VAh",
  Ohm: "Ω",
  kOhm: "kΩ",
  "dB[SPL]": "dB",
  "dB[A]": "dB(A)",
  "dB[mW]": "dBm",
  "[in_i]": "in",
  "[ft_i]": "ft",
  "[mi_i]": "mi",
  "[mi_i]/h": "mph",
  "[kn_i]": "kn",
  "[gal_us]/min": "gal/min",
  "{rev}/min": "rpm",
  a: "yr",
  "m[H2O]": "mH₂O",
  "mm[Hg]": "mmHg",
  "{#}": "",
};

/** A micro prefix, before a unit that can have one. */
const MICRO = /(^|[./])u(?=g|m|s|S|V|A|W|L|Pa|mol|Sv|T|H|F)/g;
const POWERS: Record<string, string> = { "2": "²", "3": "³" };

export function unitSymbol(ucum: string | undefined): string {
  if (!ucum) return "";
  const known = SYMBOLS[ucum];
  if (known !== undefined) return known;
  return ucum
    .replace(/[[\]{}]/g, "")
    .replace(MICRO, "$1µ")
    .replace(/(?<=[a-zA-Z])[23](?![0-9a-zA-Z])/g, (power) => POWERS[power] ?? power)
    .replaceAll(".", "·");
}
