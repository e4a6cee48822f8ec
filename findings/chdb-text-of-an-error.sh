#!/bin/sh
# chdb 4.4.0 with clickhouse-connect 1.12.0 (Python 3.11, Linux x86-64): a query that fails after its first rows leaves
# the text of its error to the next query of the same client. That one is not answered, though it is valid and has
# nothing to do with the first; the one after it is right.
#
# Seen: the first query raises DatabaseError with code 395, as it should; `SELECT 7` on the same client then raises
# pyarrow.lib.ArrowInvalid ("Message metadata too long by 156 bytes") or OSError ("Invalid flatbuffers message");
# `SELECT 7` once more gives 7. On a client of its own it gives 7 at once.
#
# Ends with 0 while it is so, with 1 when the behaviour has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet chdb==4.4.0 clickhouse-connect==1.12.0 chdb-core==26.9.0 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os
import sys

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError

LATE = "SELECT number, throwIf(number = 1000000) FROM numbers(2000000) SETTINGS max_block_size = 1000"


def seven(client):
    try:
        return client.query_arrow("SELECT 7 AS seven").column(0)[0].as_py()
    except (pa.ArrowException, OSError) as error:
        return f"{type(error).__name__}: {error}"


client, other = (clickhouse_connect.get_client(dsn=f"chdb://{os.getcwd()}/history") for _ in range(2))
try:
    client.query_arrow(LATE)
except DatabaseError as error:
    print("the first query fails with code", error.code)
answers = seven(client), seven(client), seven(other)
print("next:", *answers, sep="\n  ")
sys.exit(0 if answers[0] != 7 and answers[1:] == (7, 7) else 1)
PYTHON
