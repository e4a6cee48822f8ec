import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.units import unit_code, unit_for, unit_from_name, unit_symbol
from tests.reaching import must_reach, reach


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("temperature_c", "Cel"),
        ("temperature_c_max", "Cel"),
        ("temperatureC", "Cel"),
        ("temperature_celsius", "Cel"),
        ("temp_f", "[degF]"),
        ("outdoor_temp_degC", "Cel"),
        ("humidity", "%"),
        ("indoorHumidity", "%"),
        ("soil_moisture", "%"),
        ("battery", "%"),
        ("battery_mv", "mV"),
        ("battery_v", "V"),
        ("co2", "[ppm]"),
        ("co2_ppm", "[ppm]"),
        ("tvoc_ppb", "[ppb]"),
        ("pm25", "ug/m3"),
        ("pm2_5", "ug/m3"),
        ("PM2.5", "ug/m3"),
        ("pm10_ug_m3", "ug/m3"),
        ("pressure_hpa", "hPa"),
        ("pressure_pa", "Pa"),
        ("power_w", "W"),
        ("power_kw", "kW"),
        ("powerMW", ""),
        ("power_MW", "MW"),
        ("power_mW", "mW"),
        ("energy_kwh", "kW.h"),
        ("energy_kWh", "kW.h"),
        ("energyKWh", "kW.h"),
        ("kWhTotal", "kW.h"),
        ("pressurehPa", "hPa"),
        ("signal_dBm", "dBm"),
        ("energy_MWh", "MW.h"),
        ("voltage", "V"),
        ("current_a", "A"),
        ("current_ma", "mA"),
        ("apparent_power_va", "V.A"),
        ("illuminance", "lx"),
        ("light_lux", "lx"),
        ("rssi", "dBm"),
        ("snr", "dB"),
        ("speed_kmh", "km/h"),
        ("wind_speed_ms", "m/s"),
        ("wind_speed_m_s", "m/s"),
        ("latency_ms", "ms"),
        ("rotor_rpm", "{rev}/min"),
        ("frequency_hz", "Hz"),
        ("flow_rate_lpm", "L/min"),
        ("flow_m3_h", "m3/h"),
        ("people_count", "1"),
        ("distance_m", "m"),
        ("duration_s", "s"),
        ("wind_direction_deg", "deg"),
        ("uptime_hours", "h"),
    ],
)
def test_units_that_a_name_tells(name: str, unit: str) -> None:
    assert unit_from_name(name) == unit


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "pressure",
        "power",
        "energy",
        "speed",
        "flow_rate",
        "light",
        "current",
        "current_state",
        "vitamin_c",
        "power_min",
        "temperature_min",
        "plan_a",
        "status",
        "motion",
        "_",
        "c",
        "k",
        "mode_s",
        "latitude",
        "x",
        "battery_low",
        "pm",
        "a_b_c",
        "power_mw",
    ],
)
def test_names_that_tell_no_unit(name: str) -> None:
    assert unit_from_name(name) == ""


@pytest.mark.parametrize(
    ("name", "low", "high", "unit"),
    [
        ("humidity", 20.0, 65.0, "%"),
        ("humidity", 0.2, 0.65, ""),
        ("battery", 10.0, 100.0, "%"),
        ("battery", 3.1, 3.7, ""),
        ("battery", 2900.0, 3100.0, ""),
        ("voltage", 229.0, 231.0, "V"),
        ("voltage", 2900.0, 3100.0, ""),
        ("co2", 0.4, 0.5, ""),
        ("frequency", 49.9, 50.1, "Hz"),
        ("frequency", 868.1, 868.5, ""),
        ("temperature_c", -4000.0, 4000.0, "Cel"),
        ("humidity", None, None, "%"),
    ],
)
def test_a_unit_by_custom_must_fit_the_values(name: str, low: float | None, high: float | None, unit: str) -> None:
    assert unit_for(name, low, high) == unit


@pytest.mark.parametrize(
    ("ucum", "symbol"),
    [
        ("Cel", "°C"),
        ("ug/m3", "µg/m³"),
        ("[ppm]", "ppm"),
        ("W.h", "Wh"),
        ("kW.h", "kWh"),
        ("1", ""),
        ("%", "%"),
        ("[custom]", "custom"),
        ("{person}", "person"),
        ("uV", "µV"),
        ("uS/cm", "µS/cm"),
        ("us", "µs"),
        ("var", "var"),
        ("dm3/h", "dm³/h"),
        ("m/s2", "m/s²"),
        ("kg.m2", "kg·m²"),
        ("H2O", "H2O"),
        ("L/min", "L/min"),
        ("hPa", "hPa"),
        ("furlong", "furlong"),
        ("", ""),
    ],
)
def test_symbols_for_people(ucum: str, symbol: str) -> None:
    assert unit_symbol(ucum) == symbol


@pytest.mark.parametrize(
    ("text", "ucum"),
    [
        ("degree celsius", "Cel"),
        ("C", "Cel"),
        ("°C", "Cel"),
        ("C°", "Cel"),
        ("om:degree_Celsius", "Cel"),
        ("om2:percent", "%"),
        ("percentage", "%"),
        ("Lux", "lx"),
        ("micrograms per cubic metre", "ug/m3"),
        ("μg/m³", "ug/m3"),
        ("µg/m³", "ug/m3"),
        ("hectopascal", "hPa"),
        ("kWh", "kW.h"),
        ("K", "K"),
        ("W", "W"),
        ("Cel", "Cel"),
        ("ug/m3", "ug/m3"),
        ("xsd:dateTime", "xsd:dateTime"),
        ("apples", "apples"),
        ("", ""),
    ],
)
def test_units_as_people_write_them_become_codes(text: str, ucum: str) -> None:
    assert unit_code(text) == ucum


@given(st.text(max_size=200))
def test_a_code_stays_a_code(text: str) -> None:
    code = unit_code(text)
    assert unit_code(code) == code


@must_reach("a unit", "none")
@given(st.text(max_size=200) | st.sampled_from(["energy_kwh", "power W", "temp_c", "co2_ppm", "pressure [hPa]"]))
def test_a_unit_told_by_a_name_is_a_code(name: str) -> None:
    unit = unit_from_name(name)
    reach("a unit" if unit else "none")
    assert unit_code(unit) == unit
