"""Words of headers and times, in the languages in which loggers, portals and spreadsheets write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Months by their whole names or first letters, in small letters.
MONTHS: Final = {
    word: number
    for number, words in enumerate(
        (
            "jan january januar jän jänner jaenner janvier janv ene enero gen gennaio januari janeiro",
            "feb february februar février fevrier fév fevr févr febrero febbraio februari fev fevereiro",
            "mar march mär märz maerz mrz mars marzo maart mrt março",
            "apr april avr avril abr abril aprile",
            "may mai mayo mag maggio mei maio",
            "jun june juni juin junio giu giugno junho",
            "jul july juli juil juillet julio lug luglio julho",
            "aug august aoû août aout ago agosto augustus",
            "sep sept september septembre septiembre set settembre setembro",
            "oct october okt oktober octobre octubre ott ottobre out outubro",
            "nov november novembre noviembre novembro",
            "dec december dez dezember déc décembre decembre dic diciembre dicembre dezembro",
        ),
        1,
    )
    for word in words.split()
}

#: Minutes east of Greenwich of abbreviations that mean one offset only (CST, IST and BST do not).
ZONES: Final = {
    "": 0, "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120,
    "EET": 120, "EEST": 180, "MSK": 180, "JST": 540, "KST": 540, "AEST": 600, "AEDT": 660,
    "NZST": 720, "NZDT": 780,
    "EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "HST": -600, "AKST": -540,
    "AKDT": -480,
}  # fmt: skip

#: Headers are compared without capitals, blanks and signs.
TIMES: Final = (
    "time", "timestamp", "datetime", "ts", "date", "dateandtime", "datetimeutc", "timestamputc",
    "timeutc", "utc",
    "utctime", "utcdatetime", "unixts", "unixtime", "unixtimestamp", "epoch", "epochtime", "epochms", "epochs",
    "timestampms", "timems", "tsms", "timens", "timestampns", "timestamps", "tmstamp", "when",
    "instant", "moment",
    "dt", "dtime", "datetimelocal", "localtime", "timelocal", "localdatetime", "datetimestamp",
    "datatime", "datetimes",
    "start", "starttime", "startdate", "startdatetime", "begin", "begintime", "from",
    "intervalstart", "periodstart",
    "measuredon", "measuredat", "recordedat", "reportedat", "createdat", "receivedat",
    "observedat", "sampledat",
    "sampletime", "readingtime", "readat", "readdate", "loggedat", "logtime", "logdate",
    "lastchanged", "lastupdated",
    "updatedat", "eventtime", "phenomenontime", "resulttime", "observationtime", "validtime",
    "valid", "collected",
    "zeit", "datum", "zeitstempel", "uhrzeit", "datumuhrzeit", "datumzeit", "messzeit",
    "messzeitpunkt", "zeitpunkt",
    "von", "beginn", "datumvon", "heure", "horodatage", "dateheure", "dateetheure", "debut",
    "début", "fecha", "hora",
    "fechahora", "fechayhora", "data", "ora", "dataora", "dataeora", "tijd", "tijdstip",
    "datumtijd", "van", "datumtid",
    "tid", "tidpunkt", "aika", "pvm", "czas", "dataczas", "datahora", "时间", "日期", "时间戳", "日期时间", "采集时间",
    "日時", "日付", "時刻", "mtu", "date(mm/dd/yyyy)", "day", "tag", "jour", "dia", "giorno",
)  # fmt: skip
#: Parts of a header after which it may well be a column of times.
TIME_PARTS: Final = ("time", "date", "stamp", "datum", "zeit", "utc", "epoch", "fecha", "horodat", "时间", "日期")
YEARS: Final = ("year", "yr", "yyyy", "jahr", "année", "annee", "an", "año", "anno", "jaar", "年", "yearutc", "yy")
MONTH_WORDS: Final = ("month", "mon", "mo", "mm", "monat", "mois", "mes", "mese", "maand", "月", "mn")
DAYS: Final = ("day", "dd", "dy", "tag", "jour", "dia", "día", "giorno", "dag", "日", "dayofmonth", "da")
YEAR_DAYS: Final = ("doy", "dayofyear", "yday", "julianday", "jday", "julday", "yearday")
HOURS: Final = (
    "hour",
    "hr",
    "hh",
    "stunde",
    "heure",
    "hora",
    "ora",
    "uur",
    "时",
    "hourofday",
    "std",
    "he",
    "hourending",
)
MINUTES: Final = ("minute", "min", "mi", "mins", "minuto", "minuut", "minuten", "分", "mm", "mn")
SECONDS: Final = ("second", "sec", "ss", "s", "secs", "sekunde", "seconde", "segundo", "秒")
CLOCKS: Final = ("hhmm", "time", "hrmn", "hourminute", "timehhmm", "hhmmss")

THINGS: Final = (
    "thing", "thingid", "thingname", "device", "deviceid", "devicename", "deviceeui", "deveui",
    "entityid", "entity",
    "sensor", "sensorid", "sensorname", "station", "stationid", "stationname", "stationcode",
    "meter", "meterid",
    "metername", "meternumber", "node", "nodeid", "moteid", "mote", "unit", "unitid", "equipment",
    "equipmentid",
    "asset", "assetid", "machine", "machineid", "room", "roomid", "site", "siteid", "location",
    "locationid", "building",
    "buildingid", "plantid", "plant", "sourcekey", "inverter", "inverterid", "tagid", "host",
    "serial", "serialnumber",
    "mac", "macaddress", "name", "id", "object", "objectid", "client", "clientid", "household",
    "lclid", "user", "geraet",
    "gerät", "sensorcommunityid", "zaehler", "zähler", "zählpunkt", "设备", "站点", "传感器", "appliance", "channelid",
)  # fmt: skip
#: Those that name things also where each row has a time of its own.
CERTAIN_THINGS: Final = (
    "thing", "thingid", "thingname", "device", "deviceid", "devicename", "deviceeui", "deveui", "entityid", "sensorid",
    "stationid", "meterid", "meternumber", "nodeid", "moteid", "assetid", "equipmentid", "machineid", "serialnumber",
    "macaddress", "lclid", "sourcekey", "设备", "站点",
)  # fmt: skip
PROPERTIES: Final = (
    "property", "metric", "metricname", "field", "measurement", "measure", "measurand", "parameter", "parametername",
    "parametercode", "variable", "variablename", "quantity", "signal", "signalname",
    "point", "pointname",
    "tag", "tagname", "channel", "channelname", "datapoint", "key", "attribute", "attr",
    "observedproperty", "pollutant",
    "indicator", "kind", "type", "name", "sensor", "sensortype", "item", "series", "merkmal",
    "messgröße", "指标", "参数",
)  # fmt: skip
VALUES: Final = (
    "value", "val", "reading", "numericvalue", "valuenumeric", "measuredvalue", "observedvalue", "result",
    "datavalue", "messwert", "wert", "valeur", "valor", "valore", "waarde", "值", "数值", "concentration",
)  # fmt: skip
#: Headers of columns that only count rows.
INDEXES: Final = ("", "unnamed0", "index", "rowid", "rownumber", "rownum", "row", "x1")

#: The columns of files that the platform has exported.
_PLAIN: Final = frozenset({"thing", "property", "time", "value"})
_PAIRED: Final = frozenset({"thing", "property", "time", "number", "text"})
_BESIDE: Final = frozenset({"kind", "unit"})


def is_own(headers: Sequence[str]) -> bool:
    """Whether a file has exactly the columns that an export has."""
    return len(set(headers)) == len(headers) and set(headers) - _BESIDE in (_PLAIN, _PAIRED)
