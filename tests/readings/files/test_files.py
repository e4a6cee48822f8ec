"""Files as people have them: dialects, times, values, shapes."""

from __future__ import annotations

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allthings.readings.files.columnar import Columnar
from allthings.readings.files.settings import SAMPLE_BYTES
from allthings.things.errors import BadInputError
from tests.readings.files.reading import imported, packed, understood

T = "2026-11-22T08:30:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "time,t,n\n2026-11-22 08:30,21.5,1\n2026-11-22 08:40,22,2\n",
        "time;t;n\n2026-11-22 08:30;21,5;1\n2026-11-22 08:40;22;2\n",
        "time\tt\tn\n2026-11-22 08:30\t21.5\t1\n2026-11-22 08:40\t22\t2\n",
        "time|t|n\n2026-11-22 08:30|21.5|1\n2026-11-22 08:40|22|2\n",
        'time,t,n\n"2026-11-22 08:30","21,5","1"\n"2026-11-22 08:40","22","2"\n',
        "time, t, n\n2026-11-22 08:30, 21.5, 1\n2026-11-22 08:40,  22, 2\n",
        "# made by a logger\n# serial 4711\ntime,t,n\n2026-11-22 08:30,21.5,1\n2026-11-22 08:40,22,2\n",
        "Station: Cellar\nFirmware;1.2\n\ntime;t;n\n2026-11-22 08:30;21,5;1\n2026-11-22 08:40;22;2\n",
        "sep=;\ntime;t;n\n2026-11-22 08:30;21,5;1\n2026-11-22 08:40;22;2\n",
        "#time,t,n\n2026-11-22 08:30,21.5,1\n2026-11-22 08:40,22,2\n",
        "time,t,n\n,°C,\n2026-11-22 08:30,21.5,1\n2026-11-22 08:40,22,2\n",
        "time,t,n\r\n2026-11-22 08:30,21.5,1\r\n\r\n2026-11-22 08:40,22,2\r\n",
        "time,t,n\r2026-11-22 08:30,21.5,1\r2026-11-22 08:40,22,2\r",
        "time,t,n,\n2026-11-22 08:30,21.5,1,\n2026-11-22 08:40,22,2,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_dialects(text: str, encoding: str) -> None:
    found = imported(text.encode(encoding))
    assert found.of("t") == [21.5, 22]
    assert found.of("n") == [1, 2]
    assert found.times() == [T, "2026-11-22T08:40:00Z"]
    assert not found.reading.errors.count


def test_packed_and_without_a_header() -> None:
    found = imported(packed(b"1795336200\t17,1\n1795336800\t16,94\n1795337400\t17\n"), "open_window.txt.gz")
    assert found.understood.thing == "open_window"
    assert found.of("value") == [17.1, 16.94, 17]
    assert found.times()[0] == T


def test_a_file_that_is_cut_off_says_so() -> None:
    with pytest.raises(BadInputError, match="cut off"):
        imported(packed(b"time,t\n" + b"2026-11-22 08:30,1\n" * 100)[:-9])


def test_equal_headers_become_different_and_it_is_said() -> None:
    found = imported(b"time,temp,temp\n2026-11-22T08:30:00Z,1,2\n")
    assert (found.of("temp"), found.of("temp 2")) == ([1], [2])
    assert any("more than once" in text for text in found.understood.said)


def test_a_header_with_one_name_fewer_than_the_rows_has() -> None:
    found = imported(b'"date","T"\n"1","2026-11-22 08:30:00",23.7\n"2","2026-11-22 08:31:00",23.8\n')
    assert found.of("T") == [23.7, 23.8]
    assert any("only counts rows" in text for text in found.understood.said)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("time", ["2026-11-22T08:30:00Z"]),
        ("Timestamp", ["2026-11-22 09:30:00+01:00"]),
        ("measured_on", ["2026-11-22 01:30:00-07:00"]),
        ("when it was", ["2026-11-22T08:30:00.000"]),
        ("date", ["2026/11/22 8:30"]),
        ("Datum", ["22.11.2026 08:30"]),
        ("Datum/Uhrzeit", ["22.11.2026, 08:30:00"]),
        ("Date", ["11/22/26 8:30 AM"]),
        ("Date", ["22/11/2026 08:30:00"]),
        ("ts", ["22-Nov-2026 08:30:00"]),
        ("ts", ["Nov 22, 2026 8:30 am"]),
        ("ts", ["Sun Nov 22 08:30:00 2026"]),
        ("ts", ["Sunday, 22 November 2026 08:30"]),
        ("ts", ["Sun, 22 Nov 2026 08:30:00 GMT"]),
        ("t", ["22. Nov 2026 08:30"]),
        ("时间", ["2026年11月22日 08时30分"]),
        ("ts", ["20261122T083000Z"]),
        ("ts", ["20261122 0830"]),
        ("ts", ["20261122083000"]),
        ("ts", ["202611220830"]),
        ("ts", ["2026-W47-7T08:30:00Z"]),
        ("ts", ["2026-326T08:30:00"]),
        ("ts", ["2026-11-22T08:29:60Z"]),
        ("ts", ["2026-11-22 08:30:00 UTC"]),
        ("ts", ["2026-11-22 09:30:00 CET"]),
        ("ts", ["2026-11-22T08:30:00.000000000Z"]),
        ("unix_ts", ["1795336200"]),
        ("epoch", ["1795336200.000"]),
        ("ts", ["1795336200000"]),
        ("ts", ["1.7953362000000000E9"]),
        ("ts", ["1795336200000000"]),
        ("ts", ["1795336200000000000"]),
        ("", ["2026-11-22 08:30:00"]),
        ("Date,Time", ["2026-11-22", "08:30:00"]),
        ("Date,Time", ["22.11.2026", "8:30"]),
        ("Date,Time", ["11/22/2026", "8:30:00 AM"]),
        ("date,hour", ["2026-11-22", "8:30-8:59"]),
        ("Datum von", ["22.11.2026 08:30 - 22.11.2026 08:45"]),
        ("year,month,day,hour,minute", ["2026", "11", "22", "8", "30"]),
        ("Year,Month,Day,Time", ["2026", "11", "22", "08:30"]),
        ("YY,MM,DD,hhmm", ["2026", "11", "22", "830"]),
    ],
)
def test_times_are_found_by_content_and_name(header: str, cells: list[str]) -> None:
    text = f"{header},p\n" + "".join(
        f"{','.join(json.dumps(cell, ensure_ascii=False) for cell in cells)},{n}\n" for n in (5, 5)
    )
    found = imported(text.encode())
    assert found.times() == [T]
    assert found.of("p")[0] == 5


def test_a_date_and_an_hour() -> None:
    text = "date,hour,p\n" + "".join(f"2026-11-22,{hour},1\n" for hour in range(24))
    assert imported(text.encode()).times()[8] == "2026-11-22T08:00:00Z"


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [("13/01/2026 08:00", "14/01/2026 08:00", "dmy"), ("01/13/2026 08:00", "01/14/2026 08:00", "mdy")],
)
def test_a_part_above_twelve_tells_which_is_the_day(first: str, second: str, order: str) -> None:
    found = understood(f"time,p\n{first},1\n{second},2\n".encode())
    assert found.moment is not None
    assert (found.moment.order, found.questions) == (order, ())


def test_days_that_follow_one_another_tell_which_is_the_day() -> None:
    text = "t,p\n" + "".join(f"1/{day}/2022 {hour}:00,1\n" for day in range(2, 7) for hour in range(24))
    assert imported(text.encode()).times()[-1] == "2022-01-06T23:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "time,p\n01/02/2026 08:00,1\n01/02/2026 08:10,2\n",
        "date;p\n01/02/2026;1\n02/02/2026;2\n03/02/2026;3\n",
        "Date,Time,p\n03-04-2026,08:00,1\n03-04-2026,09:00,2\n",
    ],
)
def test_what_leaves_the_day_open_is_asked(text: str) -> None:
    asked = understood(text.encode()).questions
    assert [question.option for question in asked] == ["day_first"]
    assert "--day-first" in asked[0].text
    day_first = imported(text.encode(), day_first=True).times()[0]
    assert imported(text.encode(), day_first=False).times()[0] != day_first


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "Time,p\n08:00,1\n09:00,2\n",
        "x;y\nred;1\nblue;2\n",
        "No,T\n1,20\n2,21\n",
        "ts,p\n12,1\n13,2\n",
    ],
)
def test_without_times_it_asks_and_names_the_columns(text: str) -> None:
    (question,) = understood(text.encode()).questions
    assert question.option == "time_column"
    assert all(repr(name) in question.text for name in text.partition("\n")[0].replace(";", ",").split(","))
    assert imported(text.encode(), now=True).times()[0].startswith("2026-11-30T12:00:00")


def test_what_a_person_says_of_times() -> None:
    text = b"x,y,p\n22_11_26 08h30,7,1\n22_11_26 08h40,8,2\n"
    assert imported(text, time_column=("X",), time_format="%d_%m_%y %Hh%M").times()[0] == T
    with pytest.raises(BadInputError, match="there is no column 'z'"):
        understood(text, time_column=("z",))
    with pytest.raises(BadInputError, match="has not the form"):
        understood(text, time_column=("x",), time_format="%Y")
    with pytest.raises(BadInputError, match="%Q is not known"):
        understood(text, time_column=("x",), time_format="%Q")


def test_zones() -> None:
    text = b"time,p\n2026-07-01 10:00,1\n"
    assert imported(text, zone="Europe/Berlin").times() == ["2026-07-01T08:00:00Z"]
    found = understood(text, zone="Asia/Shanghai")
    assert any("Asia/Shanghai, the platform's zone" in sentence for sentence in found.said)
    assert imported(b"time (UTC),p\n2026-07-01 10:00,1\n", zone="Europe/Berlin").times() == ["2026-07-01T10:00:00Z"]


def test_an_hour_that_comes_twice_and_one_that_does_not_come() -> None:
    back = "".join(f"2026-10-25 {clock},1\n" for clock in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00"))
    found = imported(f"time,p\n{back}".encode(), zone="Europe/Berlin")
    assert [time[11:16] for time in found.times()] == [
        "00:00",
        "00:30",
        "01:00",
        "01:30",
        "02:00",
    ] or found.times() == [
        "2026-10-24T23:30:00Z",
        *(f"2026-10-25T{clock}:00Z" for clock in ("00:00", "00:30", "01:00", "01:30", "02:00")),
    ]
    forward = imported(b"time,p\n2026-03-29 01:30,1\n2026-03-29 02:30,2\n2026-03-29 03:00,3\n", zone="Europe/Berlin")
    assert forward.of("p") == [1, 3]
    assert "no clock in Europe/Berlin has shown" in forward.reading.errors.listed[0].reason


def test_absent_values_are_counted() -> None:
    cells = ["EU", "NA", "NULL", "N/A", "null", "NaN", "", "none", "-"]
    text = "time,region,p\n" + "".join(
        f"2026-11-22 08:0{minute},{cell},{cell if cell != 'EU' else 5}\n" for minute, cell in enumerate(cells)
    )
    found = imported(text.encode())
    assert found.of("region") == ["EU", "none", "-"]
    assert found.of("p") == [5]
    assert found.reading.tally.absent == {"region": 6, "p": 8}
    assert not found.reading.errors.count
    assert imported(b"time,p\n2026-11-22,1\n2026-11-23,-999\n", absent=("-999",)).of("p") == [1]


def test_one_odd_cell_is_one_reject() -> None:
    found = imported(b"time,p\n2026-11-22 08:00,20.5\n2026-11-22 08:01,ERR\n2026-11-22 08:02,21.5\n")
    assert found.of("p") == [20.5, 21.5]
    assert [(error.row, error.reason) for error in found.reading.errors.listed] == [
        (2, "property 'p': 'ERR' is no number")
    ]
    found = imported(b"time,on\n2026-11-22 08:00,true\n2026-11-22 08:01,False\n2026-11-22 08:02,0\n")
    assert found.of("on") == [True, False]
    assert "'0' is neither true nor false" in found.reading.errors.listed[0].reason


def test_values_are_exact() -> None:
    numbers = [2**53 + 1, 2**63, 2**64 + 1, -(2**70), 7]
    text = "time,n\n" + "".join(f"2026-11-22 08:0{minute},{n}\n" for minute, n in enumerate(numbers))
    assert imported(text.encode()).of("n") == numbers
    lines = "".join(f'{{"time":"2026-11-22T08:0{minute}:00Z","n":{n}}}\n' for minute, n in enumerate(numbers))
    assert imported(lines.encode(), "x.ndjson").of("n") == numbers


def test_dates_and_times_as_values_are_texts() -> None:
    found = imported(
        b"time,calibrated,at\n2026-11-22T08:00:00Z,2025-01-01,08:30:00\n2026-11-22T09:00:00Z,2025-01-02,\n"
    )
    assert found.of("calibrated") == ["2025-01-01", "2025-01-02"]
    assert found.of("at") == ["08:30:00"]


def test_thousands() -> None:
    assert imported(b'time,p\n2026-11-22 08:00,"1,234.5"\n2026-11-22 09:00,"12,345.0"\n').of("p") == [1234.5, 12345]
    assert imported(b"time;p\n2026-11-22 08:00;1.234,5\n2026-11-22 09:00;2,5\n").of("p") == [1234.5, 2.5]


def test_rows_of_another_length_and_bad_times_are_named() -> None:
    found = imported(
        b"time,p,q\n2026-11-22 08:00,1,2\nshort\n,,\nyesterday,3,4\n,5,6\n2026-11-22 08:04,7,8\n"
        + b"".join(b"2026-11-22 09:%02d,9,9\n" % minute for minute in range(30))
    )
    assert found.of("p")[:3] == [1, 7, 9]
    told = {error.row: error.reason for error in found.reading.errors.listed}
    assert told.keys() == {2, 4, 5}
    assert "1 fields, the others have 3" in told[2]
    assert "'yesterday' is no time" in told[4]
    assert told[5] == "it has no time"


def test_units_of_headers() -> None:
    found = understood("time,temp [°C],Flow (l/s),Usage_kWh,Quay (EW)\n2026-11-22 08:00,1,2,3,4\n".encode())
    assert [(column.name, column.unit) for column in found.columns[1:]] == [
        ("temp", "Cel"),
        ("Flow", "L/s"),
        ("Usage_kWh", "kW.h"),
        ("Quay (EW)", ""),
    ]


def test_long_files() -> None:
    rows = ("a;t;22.11.2026 08:00;21,5", "a;mode;22.11.2026 08:00;eco", "b;t;22.11.2026 08:00;NA")
    text = "\n".join(("device;metric;timestamp;value", *rows)).encode()
    found = imported(text)
    assert found.understood.shape == "long"
    assert found.rows == [("a", "t", "2026-11-22T08:00:00Z", 21.5), ("a", "mode", "2026-11-22T08:00:00Z", "eco")]
    assert found.reading.tally.absent == {"value": 1}


def test_long_files_whose_rows_would_replace_one_another_are_asked_about() -> None:
    rows = ("t,2026-11-22 08:00,1", "t,2026-11-22 08:00,2", "t,2026-11-22 08:01,3", "t,2026-11-22 08:01,4")
    (question,) = understood("\n".join(("metric,time,value", *rows)).encode()).questions
    assert question.option == "property_column"
    flux = "#group,false,true,true\n,result,_time,_value,_field,_measurement\n"
    flux += ",,2024-01-01T00:00:00Z,21.5,t,room\n,,2024-01-01T00:00:00Z,40,rh,room\n"
    assert {name for _, name, _, _ in imported(flux.encode()).rows} == {"t", "rh"}


def test_a_line_of_totals_and_rows_of_delimiters_at_the_end() -> None:
    found = imported(b"Timestamp;p\n5/13/2024 12:00:00 AM;1\n5/13/2024 12:15:00 AM;2\nTotal;3\n;\n;\n")
    assert found.of("p") == [1, 2]
    assert [(error.row, error.reason) for error in found.reading.errors.listed] == [(3, "'Total' is no time")]


def test_a_column_a_thing() -> None:
    found = imported(b"time,pump 1,pump 2\n2026-11-22 08:00,1,2\n", columns_are="things", property="pressure")
    assert found.rows == [
        ("pump-1", "pressure", "2026-11-22T08:00:00Z", 1),
        ("pump-2", "pressure", "2026-11-22T08:00:00Z", 2),
    ]


def test_rows_of_one_time_are_told_apart_or_asked_about() -> None:
    rows = "".join(f"2026-11-22 08:{minute:02},s{sensor},{sensor}\n" for minute in range(10) for sensor in (1, 2))
    found = imported(f"time,sensor_id,t\n{rows}".encode())
    assert {thing for thing, *_ in found.rows} == {"s1", "s2"}
    (question,) = understood(f"time,direction,t\n{rows}".encode()).questions
    assert (question.option, question.choices) == ("thing_column", ("direction", "t"))
    assert len(imported(f"time,direction,t\n{rows}".encode(), thing_column="direction").rows) == 20


def test_later_rows_of_a_time_stand_and_are_counted() -> None:
    text = (
        "time,t\n" + "".join(f"2026-11-22 {n // 60:02}:{n % 60:02},{n}\n" for n in range(100)) + "2026-11-22 01:39,7\n"
    )
    assert imported(text.encode()).reading.tally.repeated() == 1


def test_json_rows() -> None:
    lines = (
        b'{"ts":1795336200000,"v":1,"at":{"lat":48.1,"deep":{"x":[1,2]}},"none":null}\n'
        b'{"ts":1795336260000,"v":"ERR","later":true}\n{"ts":1795336320000\n'
    )
    found = imported(lines, "x.ndjson")
    assert found.of("v") == [1, "ERR"]
    assert (found.of("at.lat"), found.of("at.deep.x"), found.of("later")) == ([48.1], [[1, 2]], [True])
    assert found.reading.tally.absent["none"] == 1
    assert [error.row for error in found.reading.errors.listed] == [3]


def test_the_platforms_own_files_are_taken_to_the_letter() -> None:
    rows = ("a,mode,2026-11-22T08:30:00Z,NA,string", 'a,mode,2026-11-22T08:31:00Z,"",string')
    text = "\n".join(("thing,property,time,value,kind", *rows)).encode()
    assert imported(text).of("mode") == ["NA", ""]
    line = b'{"thing":"a","property":"p","time":"2026-11-22T08:30:00Z","value":{"x":null}}\n'
    assert imported(line + line.replace(b'{"x":null}', b"null"), "x.ndjson").of("p") == [{"x": None}, None]


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
def test_columnar_files(form: str) -> None:
    table = pa.table(
        {
            "Timestamp": pa.array([1_795_336_200, 1_795_336_260], pa.timestamp("s", "UTC")),
            "t": [21.5, float("nan")],
            "big": pa.array([2**64 - 1, 1], pa.uint64()),
            "at": pa.array([{"lat": 1.5}, None], pa.struct([("lat", pa.float64())])),
        }
    )
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        writer = pa.ipc.new_file(sink, table.schema) if form == "file" else pa.ipc.new_stream(sink, table.schema)
        with writer:
            writer.write_table(table)
    found = understood(sink.getvalue(), "x.parquet")
    assert [column.header for column in found.columns] == ["Timestamp", "t", "big", "at.lat"]
    assert (found.first, found.form) == (T, "parquet" if form == "parquet" else "arrow")
    assert sum(len(piece.rows) for piece in Columnar(io.BytesIO(sink.getvalue())).pieces()) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"PK\x03\x04 and so on", "zip archive or a workbook"),
        (b"some\x00bytes\n" * 20, "zero bytes"),
        (b"time,p\n", "no rows of data"),
    ],
)
def test_what_is_no_file_of_readings(data: bytes, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        imported(data)


def test_a_large_file_is_read_in_pieces_and_its_end_is_known() -> None:
    rows = "".join(f"{1_700_000_000 + n},{n}\n" for n in range(400_000))
    data = f"time,n\n{rows}".encode()
    assert len(data) > 2 * SAMPLE_BYTES
    found = imported(data)
    assert found.understood.last == found.times()[-1] == "2023-11-19T13:19:59Z"
    assert found.of("n") == list(range(400_000))
    assert gzip.decompress(packed(data)) == data
