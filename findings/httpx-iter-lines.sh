#!/bin/sh
# httpx 0.28.1, Python 3.11 to 3.13: Response.iter_lines ends a line at every separator that str.splitlines knows, not
# only at LF, CR and CRLF. In server-sent events and in newline-delimited JSON (RFC 8259 allows U+2028, U+2029 and
# U+0085 unescaped within strings) one line of the sender becomes several, none of which is JSON.
#
# Seen: one line {"text":"a<U+2028>b"} comes out as two, '{"text":"a' and 'b"}'.
# Do instead: split iter_bytes at b"\n".
#
# Exits with 0 while httpx does so, with 1 when it no longer does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import httpx

for separator in ("\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"):
    line = json.dumps({"text": f"a{separator}b"}, ensure_ascii=False)
    # Control characters below U+0020 are escaped by JSON; in plain text lines they are not.
    if separator < " ":
        line = f"a{separator}b"
    found = list(httpx.Response(200, content=f"{line}\n".encode()).iter_lines())
    print(f"U+{ord(separator):04X}: {found}")
    if len(found) == 1:
        print("httpx no longer ends a line there")
        sys.exit(1)
PYTHON
