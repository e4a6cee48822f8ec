"""Units: UCUM codes inside (the `unit` of a property), symbols for people, and units that a property's name tells.

A table and no library: about a hundred units cover what sensors' names and Thing Descriptions carry, and a look-up
must cost next to nothing, since every discovered property passes here. No values are converted.
"""

from __future__ import annotations

import re
from typing import Final

#: UCUM code (https://ucum.org, case sensitive) -> what people read. What is not listed follows the rules of
#: `unit_symbol`. The console does the same (web-console/src/text/units.ts).
_SYMBOLS: Final = {
    "1": "",
    "[degF]": "°F",
    "[ft_i]": "ft",
    "[gal_us]/min": "gal/min",
    "[in_i]": "in",
    "[kn_i]": "kn",
    "[mi_i]": "mi",
    "[mi_i]/h": "mph",
    "[ppth]": "‰",
    "{#}": "",
    "{rev}/min": "rpm",
    "By": "B",
    "Cel": "°C",
    "GBy": "GB",
    "GW.h": "GWh",
    "KBy": "kB",
    "MBy": "MB",
    "MW.h": "MWh",
    "Ohm": "Ω",
    "V.A": "VA",
    "V.A.h": "VAh",
    "W.h": "Wh",
    "a": "yr",
    "dB[A]": "dB(A)",
    "dB[SPL]": "dB",
    "dB[mW]": "dBm",
    "deg": "°",
    "kOhm": "kΩ",
    "kV.A": "kVA",
    "kW.h": "kWh",
    "kvar.h": "kvarh",
    "m[H2O]": "mH₂O",
    "mm[Hg]": "mmHg",
    "var.h": "varh",
}
_BRACKETS: Final = str.maketrans("", "", "[]{}")
#: A micro prefix, before a unit that can have one.
_MICRO: Final = re.compile(r"(^|[./])u(?=g|m|s|S|V|A|W|L|Pa|mol|Sv|T|H|F)")
_RAISED: Final = re.compile(r"(?<=[a-zA-Z])([23])(?![0-9a-zA-Z])")

#: Words that Thing Descriptions and devices use for a unit, in small letters, without blanks and signs -> UCUM code.
_WORDS: Final = {
    "degreecelsius": "Cel", "degreescelsius": "Cel", "celsius": "Cel", "degc": "Cel", "°c": "Cel", "c°": "Cel",
    "degreefahrenheit": "[degF]", "fahrenheit": "[degF]", "degf": "[degF]", "°f": "[degF]", "kelvin": "K",
    "percent": "%", "percentage": "%", "pct": "%", "pascal": "Pa", "hectopascal": "hPa", "kilopascal": "kPa",
    "millibar": "mbar", "psi": "[psi]", "watt": "W", "watts": "W", "kilowatt": "kW", "kilowatts": "kW",
    "kilowatthour": "kW.h", "kilowatthours": "kW.h", "watthour": "W.h", "watthours": "W.h", "wh": "W.h",
    "kwh": "kW.h", "va": "V.A", "kva": "kV.A", "varh": "var.h", "volt": "V", "volts": "V", "millivolt": "mV",
    "millivolts": "mV", "ampere": "A", "amperes": "A", "amp": "A", "amps": "A", "milliampere": "mA",
    "milliamperes": "mA", "hertz": "Hz", "kilohertz": "kHz", "lux": "lx", "ppm": "[ppm]", "partspermillion": "[ppm]",
    "ppb": "[ppb]", "partsperbillion": "[ppb]", "microgramspercubicmetre": "ug/m3",
    "microgramspercubicmeter": "ug/m3", "µg/m³": "ug/m3", "µg/m3": "ug/m3", "ug/m³": "ug/m3",
    "mg/m³": "mg/m3", "decibel": "dB", "decibels": "dB", "metre": "m", "meter": "m", "metres": "m", "meters": "m",
    "centimetre": "cm", "centimeter": "cm", "millimetre": "mm", "millimeter": "mm", "kilometre": "km",
    "kilometer": "km", "metrepersecond": "m/s", "meterspersecond": "m/s", "metrespersecond": "m/s",
    "kilometreperhour": "km/h", "kilometersperhour": "km/h", "kmh": "km/h", "mph": "[mi_i]/h", "knot": "[kn_i]",
    "knots": "[kn_i]", "rpm": "{rev}/min", "degree": "deg", "degrees": "deg", "°": "deg", "second": "s",
    "seconds": "s", "millisecond": "ms", "milliseconds": "ms", "minute": "min", "minutes": "min", "hour": "h",
    "hours": "h", "day": "d", "days": "d", "litre": "L", "liter": "L", "litres": "L", "liters": "L",
    "millilitre": "mL", "milliliter": "mL", "cubicmetre": "m3", "cubicmeter": "m3", "m³": "m3", "m³/h": "m3/h",
    "l/min": "L/min", "l/h": "L/h", "kilogram": "kg", "kilograms": "kg", "gram": "g", "grams": "g", "ohm": "Ohm",
    "ohms": "Ohm", "Ω": "Ohm", "ω": "Ohm", "joule": "J", "joules": "J", "newton": "N", "w/m²": "W/m2",
    "µs/cm": "uS/cm", "m/s²": "m/s2", "byte": "By", "bytes": "By", "ph": "[pH]",
}  # fmt: skip

#: Endings that mean one unit whatever stands before them.
_ENDINGS: Final = {
    "celsius": "Cel", "degc": "Cel", "fahrenheit": "[degF]", "degf": "[degF]", "kelvin": "K", "percent": "%",
    "percentage": "%", "pct": "%", "hpa": "hPa", "kpa": "kPa", "mbar": "mbar", "millibar": "mbar", "psi": "[psi]",
    "watt": "W", "watts": "W", "kw": "kW", "kilowatts": "kW", "gw": "GW", "wh": "W.h", "kwh": "kW.h", "gwh": "GW.h",
    "kva": "kV.A", "kvar": "kvar", "kvarh": "kvar.h", "varh": "var.h", "volt": "V", "volts": "V", "mv": "mV",
    "millivolts": "mV", "kv": "kV", "amp": "A", "amps": "A", "ampere": "A", "amperes": "A", "milliamps": "mA",
    "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ghz": "GHz", "lux": "lx", "ppm": "[ppm]", "ppb": "[ppb]",
    "ugm3": "ug/m3", "mgm3": "mg/m3", "dbm": "dBm", "db": "dB", "dba": "dB(A)", "cm": "cm", "mm": "mm", "km": "km",
    "metres": "m", "meters": "m", "kmh": "km/h", "kph": "km/h", "mph": "[mi_i]/h", "mps": "m/s", "knots": "[kn_i]",
    "rpm": "{rev}/min", "degrees": "deg", "seconds": "s", "secs": "s", "milliseconds": "ms", "minutes": "min",
    "mins": "min", "hours": "h", "hrs": "h", "days": "d", "litres": "L", "liters": "L", "ml": "mL", "m3": "m3",
    "m3h": "m3/h", "lpm": "L/min", "lph": "L/h", "gpm": "[gal_us]/min", "kg": "kg", "grams": "g", "ohm": "Ohm",
    "ohms": "Ohm", "kohm": "kOhm", "wm2": "W/m2", "bytes": "By",
}  # fmt: skip

_TEMPERATURE: Final = frozenset(
    {"temperature", "temp", "dewpoint", "dew", "point", "setpoint", "feelslike", "like", "t", "heat", "index"}
)
_LENGTH: Final = frozenset(
    {"distance", "height", "level", "depth", "altitude", "length", "width", "elevation", "range", "visibility"}
)
_DURATION: Final = frozenset(
    {"duration", "uptime", "age", "latency", "delay", "time", "runtime", "elapsed", "interval"}
)
_SPEED: Final = frozenset({"speed", "velocity", "gust", "wind"})
_POWER: Final = frozenset({"power", "load", "consumption", "production", "generation", "demand", "active"})

#: Short endings that mean a unit only after a word of the quantity: `temperature_c`, but not `vitamin_c`.
_SHORT_ENDINGS: Final[dict[str, tuple[frozenset[str], str]]] = {
    "c": (_TEMPERATURE, "Cel"),
    "f": (_TEMPERATURE, "[degF]"),
    "k": (_TEMPERATURE, "K"),
    "w": (_POWER | {"solar", "grid", "pv", "reactive", "apparent"}, "W"),
    "va": (frozenset({"power", "apparent"}), "V.A"),
    "var": (frozenset({"power", "reactive"}), "var"),
    "v": (frozenset({"voltage", "battery", "supply", "potential", "vcc", "vdd", "grid"}), "V"),
    "a": (frozenset({"current", "amperage"}), "A"),
    "ma": (frozenset({"current", "amperage"}), "mA"),
    "pa": (frozenset({"pressure"}), "Pa"),
    "bar": (frozenset({"pressure"}), "bar"),
    "m": (_LENGTH, "m"),
    "ft": (_LENGTH, "[ft_i]"),
    "in": (frozenset({"rain", "rainfall", "precipitation"}), "[in_i]"),
    "s": (_DURATION, "s"),
    "sec": (_DURATION, "s"),
    "h": (_DURATION, "h"),
    "ms": (_DURATION, "ms"),
    "deg": (frozenset({"direction", "angle", "heading", "azimuth", "bearing", "tilt", "latitude", "longitude"}), "deg"),
    "l": (frozenset({"volume", "water", "consumption", "tank"}), "L"),
    "g": (frozenset({"weight", "mass"}), "g"),
    "lx": (frozenset({"illuminance", "light", "brightness"}), "lx"),
}

#: Endings of two words, such as `ug_m3` or `m_s`.
_PAIRS: Final = {
    ("ug", "m3"): "ug/m3", ("mg", "m3"): "mg/m3", ("g", "m3"): "g/m3", ("m", "s"): "m/s", ("km", "h"): "km/h",
    ("m3", "h"): "m3/h", ("l", "min"): "L/min", ("l", "h"): "L/h", ("w", "m2"): "W/m2", ("us", "cm"): "uS/cm",
    ("kw", "h"): "kW.h", ("deg", "c"): "Cel", ("deg", "f"): "[degF]", ("degrees", "c"): "Cel",
}  # fmt: skip

#: Names that mean a unit by wide custom without telling it, and the range in which that is believable: a humidity
#: that stays within 0 and 1 is no percentage, a battery at 3.7 is volts.
_CUSTOMS: Final[dict[str, tuple[str, float, float]]] = {
    "humidity": ("%", 1.5, 110.0),
    "rh": ("%", 1.5, 110.0),
    "soil moisture": ("%", 1.5, 110.0),
    "battery": ("%", 5.0, 101.0),
    "battery level": ("%", 5.0, 101.0),
    "soc": ("%", 5.0, 101.0),
    "co2": ("[ppm]", 100.0, 100_000.0),
    "pm1": ("ug/m3", 0.0, 10_000.0),
    "pm10": ("ug/m3", 0.0, 10_000.0),
    "pm25": ("ug/m3", 0.0, 10_000.0),
    "pm2 5": ("ug/m3", 0.0, 10_000.0),
    "voltage": ("V", 0.0, 500.0),
    "illuminance": ("lx", 0.0, 200_000.0),
    "frequency": ("Hz", 40.0, 70.0),
    "rssi": ("dBm", -200.0, 30.0),
    "snr": ("dB", -50.0, 100.0),
    "people": ("1", 0.0, 1e9),
    "count": ("1", 0.0, 1e15),
    "occupants": ("1", 0.0, 1e9),
    "persons": ("1", 0.0, 1e9),
    "pedestrians": ("1", 0.0, 1e9),
}

#: Units as headers write them beside the words above, by the letters themselves or by small ones.
_WRITTEN: Final = {
    "F": "[degF]", "K": "K", "°F": "[degF]", "°C": "Cel", "degC": "Cel", "degF": "[degF]", "deg": "deg", "°": "deg",
    "%": "%", "%RH": "%", "% RH": "%", "rH%": "%", "l": "L", "L": "L", "l/s": "L/s", "L/s": "L/s", "l/min": "L/min",
    "l/h": "L/h", "m3/s": "m3/s", "m3/h": "m3/h", "m3": "m3", "dm3": "dm3", "dm3/h": "dm3/h", "m/s": "m/s",
    "m/s2": "m/s2", "km/h": "km/h", "w/m2": "W/m2", "wh/m2": "W.h/m2", "kwh/m2": "kW.h/m2", "mj/m2": "MJ/m2",
    "ug/m3": "ug/m3", "mg/m3": "mg/m3", "g/m3": "g/m3", "g/kwh": "g/kW.h", "kg/kg": "kg/kg", "mg/l": "mg/L",
    "us/cm": "uS/cm", "mS/cm": "mS/cm", "ntu": "{NTU}", "ppm": "[ppm]", "ppb": "[ppb]", "mmhg": "mm[Hg]",
    "mm Hg": "mm[Hg]", "inhg": "[in_i'Hg]", "inWG": "[in_i'H2O]", "mm/h": "mm/h", "lx": "lx", "lux": "lx", "V": "V",
    "A": "A", "W": "W", "kW": "kW", "MW": "MW", "GW": "GW", "mW": "mW", "Wh": "W.h", "kWh": "kW.h", "MWh": "MW.h",
    "GWh": "GW.h", "VA": "V.A", "kVA": "kV.A", "var": "var", "VAr": "var", "kvar": "kvar", "kvarh": "kvar.h",
    "VARh": "var.h", "VAh": "V.A.h", "Hz": "Hz", "kHz": "kHz", "MHz": "MHz", "mA": "mA", "mV": "mV", "kV": "kV",
    "bar": "bar", "mbar": "mbar", "Pa": "Pa", "hPa": "hPa", "kPa": "kPa", "MPa": "MPa", "psi": "[psi]", "J": "J",
    "kJ": "kJ", "MJ": "MJ", "GJ": "GJ", "s": "s", "ms": "ms", "min": "min", "h": "h", "g": "g", "kg": "kg", "t": "t",
    "m": "m", "cm": "cm", "mm": "mm", "km": "km", "mph": "[mi_i]/h", "kt": "[kn_i]", "kn": "[kn_i]", "rpm": "{rev}/min",
    "dB": "dB", "dBm": "dBm", "dBA": "dB(A)", "pH": "[pH]", "gal": "[gal_us]", "gpm": "[gal_us]/min", "ft": "[ft_i]",
    "in": "[in_i]", "Ohm": "Ohm", "Volts": "V", "Amps": "A",
}  # fmt: skip
_CODES: Final = frozenset(_SYMBOLS) | frozenset(_WORDS.values()) | frozenset(_WRITTEN.values())

#: Words that say which figure of a quantity is meant, not which unit.
_QUALIFIERS: Final = frozenset(
    {"min", "max", "minimum", "maximum", "avg", "average", "mean", "median", "sum", "total", "last", "raw", "today"}
)
_SPLIT: Final = re.compile(r"[^A-Za-z0-9%°µ]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: Units with a capital inside, which are one word nonetheless.
_CAPITALS: Final = re.compile(r"(?<![A-Z])(?:[kK]Wh|[kK]W|[kK]VA|[hHkK]Pa|[kKM]Hz|dBm|d[bB]A|mV|mA|degC|degF)(?![a-z])")
#: m and M are milli and mega: told only by the letter itself.
_CASED: Final = {"mW": "mW", "MW": "MW", "mWh": "mW.h", "MWh": "MW.h"}
_CASED_ENDING: Final = re.compile(r"(?:^|[_\-. ])(mWh?|MWh?)$")


def unit_symbol(ucum: str) -> str:
    """What people read for a UCUM code: `Cel` is `°C`, `ug/m3` is `µg/m³`, `{person}` is `person`, `1` is nothing."""
    known = _SYMBOLS.get(ucum)
    if known is not None:
        return known
    plain = _MICRO.sub(r"\1µ", ucum.translate(_BRACKETS))
    return _RAISED.sub(lambda power: "²" if power[1] == "2" else "³", plain).replace(".", "·")


def unit_code(text: str) -> str:
    """The UCUM code for a unit as devices and Thing Descriptions write it: `degree celsius`, `om2:percent`, `°C`.

    A UCUM code stays as it is, and so does what is not known: the author's word is better than none.
    """
    if text == "C":  # coulombs in UCUM, but no sensor meant that
        return "Cel"
    plain = text.rpartition(":")[2].replace("\u03bc", "µ")
    return _WORDS.get(re.sub(r"[\s_-]+", "", plain).lower(), text)


def known_unit(text: str) -> str:
    """The UCUM code for what a header of a file gives as a unit (`°C`, `l/s`, `kWh`, `W/m^2`, `Deg C`); "" if unknown.

    A word of a header in brackets is often no unit (`(EW)`), so only what is known counts.
    """
    plain = text.strip().replace("\u03bc", "µ").replace("^", "").replace("**", "")
    plain = plain.replace("²", "2").replace("³", "3").replace("·", ".").replace("µ", "u").replace("℃", "°C")
    if plain == "C":
        return "Cel"
    if code := _WRITTEN.get(plain) or _WRITTEN.get(plain.lower()):
        return code
    small = re.sub(r"[\s_-]+", "", plain).lower()
    if code := _WORDS.get(small) or _WORDS.get(small.replace("u", "µ", 1)):
        return code
    if plain in _CODES:
        return plain
    return _ENDINGS.get(small, "")


def unit_from_name(property_name: str) -> str:
    """The UCUM code that a property's name tells: `temperature_c` is `Cel`, `energyKWh` is `kW.h`; "" if it does not.

    `temperature` alone tells nothing. A few names tell by wide custom: `humidity` is `%`, `co2` is `[ppm]`; when
    values are known, `unit_for` also asks whether they fit.
    """
    return _told(property_name) or _custom(property_name)[0]


def unit_for(property_name: str, minimum: float | None, maximum: float | None) -> str:
    """As unit_from_name, but a unit by custom only when the largest value seen is believable for it."""
    if unit := _told(property_name):
        return unit
    unit, low, high = _custom(property_name)
    if minimum is None or maximum is None:
        return unit
    # The smallest value says nothing at the lower end: 0 % humidity is a broken sensor, not another unit.
    return unit if low <= maximum <= high else ""


def _words(name: str) -> list[str]:
    name = _CAPITALS.sub(lambda unit: "_" + unit[0].lower(), name)
    words = [word.lower() for word in _SPLIT.split(name) if word]
    while len(words) > 1 and words[-1] in _QUALIFIERS:
        words.pop()
    return words


def _told(name: str) -> str:
    if cased := _CASED_ENDING.search(name):
        return _CASED[cased[1]]
    words = _words(name)
    if not words:
        return ""
    last = words[-1]
    if len(words) > 1:
        if unit := _PAIRS.get((words[-2], last)):
            return unit
        if last == "ms" and not _SPEED.isdisjoint(words[:-1]):
            return "m/s"
        quantity, unit = _SHORT_ENDINGS.get(last, (frozenset[str](), ""))
        if not quantity.isdisjoint(words[:-1]):
            return unit
    return _ENDINGS.get(last, "")


def _custom(name: str) -> tuple[str, float, float]:
    words = _words(name)
    for length in (2, 1):
        custom = _CUSTOMS.get(" ".join(words[-length:]))
        if custom is not None:
            return custom
    return "", 0.0, 0.0
