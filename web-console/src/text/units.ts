/** UCUM codes as people write them. A code that is not listed is shown as it is, without its brackets. */

const SYMBOLS: Record<string, string> = {
  "1": "",
  Cel: "°C",
  "[degF]": "°F",
  "ug/m3": "µg/m³",
  "mg/m3": "mg/m³",
  "[ppm]": "ppm",
  "[ppb]": "ppb",
  "[ppth]": "‰",
  deg: "°",
  "W.h": "Wh",
  "kW.h": "kWh",
  "MW.h": "MWh",
  "V.A": "VA",
  "kV.A": "kVA",
  var: "var",
  "kvar.h": "kvarh",
  "V.A.h": "VAh",
  Ohm: "Ω",
  kOhm: "kΩ",
  m2: "m²",
  m3: "m³",
  "m3/h": "m³/h",
  "m3/s": "m³/s",
  "L/min": "L/min",
  "W/m2": "W/m²",
  "uW/cm2": "µW/cm²",
  "m/s2": "m/s²",
  uS: "µS",
  "uS/cm": "µS/cm",
  us: "µs",
  um: "µm",
  "[pH]": "pH",
  "dB[SPL]": "dB",
  "dB[A]": "dB(A)",
  "dB[mW]": "dBm",
  "[in_i]": "in",
  "[ft_i]": "ft",
  "[mi_i]/h": "mph",
  "[psi]": "psi",
  "m[H2O]": "mH₂O",
  "mm[Hg]": "mmHg",
  "{rpm}": "rpm",
  "{#}": "",
  mo: "mo",
};

export function unitSymbol(ucum: string | undefined): string {
  if (!ucum) return "";
  const known = SYMBOLS[ucum];
  if (known !== undefined) return known;
  return ucum.replace(/[[\]{}]/g, "").replace(/^u(?=[A-Z])/, "µ");
}
