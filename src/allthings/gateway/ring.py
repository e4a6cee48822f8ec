"""Many small receives or sends in one system call: the kernel's io_uring, spoken directly.

All sockets are non-blocking and every operation says MSG_DONTWAIT, so the kernel has done each of them by the time
the call returns: nothing is ever under way, and buffers may be used again at once. Sources: io_uring(7),
io_uring_setup(2), io_uring_enter(2). Linux only, from 5.18 on, and not where the machine forbids it, as containers
often do.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import os
import platform
import socket
import sys
from typing import Final, Self

import numpy as np
import numpy.typing as npt

_LOGGER = logging.getLogger(__name__)

Descriptors = npt.NDArray[np.int32]
Results = npt.NDArray[np.int32]

#: The same on all architectures.
_SETUP: Final = 425
_ENTER: Final = 426
_SUBMIT_ALL: Final = 1 << 7
_GETEVENTS: Final = 1
_OFF_SQES: Final = 0x10000000
_SEND: Final = 26
_RECEIVE: Final = 27
#: Both in one mapping (IORING_FEAT_SINGLE_MMAP).
_SINGLE_MMAP: Final = 1
#: A submission is eight words: operation and descriptor, -, address, length and flags, what comes back with the result.
_WORDS: Final = 8
_UNSIGNED: Final = 0xFFFFFFFF


class _Parameters(ctypes.Structure):
    """struct io_uring_params."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("entries", "completions", "flags", "cpu", "idle", "features", "wq")),
        ("reserved", ctypes.c_uint32 * 3),
        ("submission", ctypes.c_uint32 * 10),
        ("completion", ctypes.c_uint32 * 10),
    )


class RingError(OSError):
    """The kernel does not go on with what it was given; some of it may have been done."""


class Ring:
    """One io_uring for one thread. Raises OSError where there is none."""

    def __init__(self, entries: int) -> None:
        if sys.platform != "linux" or sys.byteorder != "little":
            raise OSError(errno.ENOSYS, f"not on {platform.system()}, {sys.byteorder} endian")
        #: What one call takes at most.
        self.entries = entries
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        parameters = _Parameters(flags=_SUBMIT_ALL)
        descriptor = self._call(_SETUP, entries, ctypes.byref(parameters))
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        # Closed with the object, whatever becomes of it.
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        if not parameters.features & _SINGLE_MMAP:
            self._file.close()
            raise OSError(errno.ENOSYS, "an io_uring of before Linux 5.4")
        self._map(parameters)
        self._filled = np.zeros((entries, _WORDS), np.uint64)
        self._filled[:, 4] = self._numbers = np.arange(entries)

    def _map(self, parameters: _Parameters) -> None:
        _, tail, _, entries, _, _, array, *_ = parameters.submission
        head, completed, _, _, _, completions, *_ = parameters.completion
        size = max(array + 4 * parameters.entries, completions + 16 * parameters.completions)
        ring = mmap.mmap(self._file.fileno(), size)
        submissions = mmap.mmap(self._file.fileno(), parameters.entries * _WORDS * 8, offset=_OFF_SQES)

        def word(at: int, count: int = 1) -> npt.NDArray[np.uint32]:
            return np.frombuffer(ring, np.uint32, count, at)

        self._tail, self._head, self._completed = word(tail), word(head), word(completed)
        self._mask = int(word(entries)[0]) - 1
        self._completions_mask = parameters.completions - 1
        word(array, parameters.entries)[:] = np.arange(parameters.entries)
        self._submissions = np.frombuffer(submissions, np.uint64).reshape(parameters.entries, _WORDS)
        #: Number of the operation in the first column, its result in the third.
        self._completions = np.frombuffer(ring, np.int32, 4 * parameters.completions, completions).reshape(-1, 4)

    @classmethod
    def tried(cls, entries: int) -> Self:
        """A ring that has sent and received something. Raises OSError where there is none."""
        ring = cls(entries)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            row = np.zeros((1, 4), np.uint8)
            sent = ring.send(np.array([ours.fileno()], np.int32), np.full((1, 4), 7, np.uint8))
            received = ring.receive(np.array([theirs.fileno()], np.int32), row)
        if (int(sent[0]), int(received[0]), row.tobytes()) != (4, 4, b"\7" * 4):
            ring.close()
            raise OSError(errno.ENOSYS, f"this kernel's does not send and receive ({sent[0]}, {received[0]})")
        return ring

    @classmethod
    def open(cls, entries: int) -> Self | None:
        """A ring; None, and a word in the log, where there is none."""
        try:
            return cls.tried(entries)
        except OSError as error:
            _LOGGER.info("io_uring is not available, sockets are read and written one by one: %s", error)
            return None

    def receive(self, descriptors: Descriptors, rows: npt.NDArray[np.uint8]) -> Results:
        """What each socket has, into its row of `rows`; bytes received, or the negative number of an error.

        0: the peer has ended. At most `entries` sockets. Raises RingError.
        """
        return self._do(_RECEIVE, socket.MSG_DONTWAIT, descriptors, rows)

    def send(self, descriptors: Descriptors, rows: npt.NDArray[np.uint8]) -> Results:
        """Send each socket its row; bytes sent, or the negative number of an error. Raises RingError."""
        return self._do(_SEND, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, descriptors, rows)

    def _do(self, operation: int, flags: int, descriptors: Descriptors, rows: npt.NDArray[np.uint8]) -> Results:
        count, (_, width) = len(descriptors), rows.shape
        assert count <= self.entries
        assert rows.flags.c_contiguous
        assert len(rows) >= count
        filled = self._filled[:count]
        filled[:, 0] = descriptors.astype(np.uint64) << 32 | operation
        filled[:, 2] = self._numbers[:count] * width + rows.__array_interface__["data"][0]
        filled[:, 3] = flags << 32 | width
        tail = int(self._tail[0])
        first = tail & self._mask
        before = min(count, self._mask + 1 - first)
        self._submissions[first : first + before] = filled[:before]
        self._submissions[: count - before] = filled[before:]
        self._tail[0] = (tail + count) & _UNSIGNED
        self._enter(count)
        head = int(self._head[0])
        completions = self._completions[(self._numbers[:count] + head) & self._completions_mask]
        results = np.empty(count, np.int32)
        results[completions[:, 0]] = completions[:, 2]
        self._head[0] = (head + count) & _UNSIGNED
        return results

    def _enter(self, count: int) -> None:
        """Let the kernel do what was submitted; all of it is done on return."""
        submitted = 0
        while submitted < count or (int(self._completed[0]) - int(self._head[0])) & _UNSIGNED < count:
            done = self._call(_ENTER, self._file.fileno(), count - submitted, count, _GETEVENTS, None, 0)
            if done >= 0:
                submitted += done
            elif (number := ctypes.get_errno()) not in (errno.EINTR, errno.EAGAIN, errno.EBUSY):
                raise RingError(number, os.strerror(number))

    def close(self) -> None:
        """Give it back to the kernel."""
        self._file.close()
