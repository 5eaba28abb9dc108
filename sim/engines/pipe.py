"""What a process writes, taken off its pipe at once: it need not wait for a reader that is busy."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 1 << 18
"""Bytes that are read at once, at the most."""

KEPT = 2048
"""Chunks that wait for the reader; then the process waits too.  A pipe gives up to 64 KiB each."""


def lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file as they come, with their ends."""
    rest = ""
    with contextlib.closing(_chunks(file)) as chunks:
        for chunk in chunks:
            *whole, rest = (rest + chunk.decode("ascii", "replace")).split("\n")
            for line in whole:
                yield line + "\n"
    if rest:
        yield rest


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file, read by a thread of their own."""
    waiting: queue.Queue[bytes] = queue.Queue(KEPT)
    left = threading.Event()

    def put(chunk: bytes) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(chunk, timeout=0.1)
                return

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):  # closed by a reader that has left
            while chunk := file.read1(CHUNK):
                put(chunk)
                if left.is_set():
                    return
        put(b"")

    threading.Thread(target=read, daemon=True).start()
    try:
        while chunk := waiting.get():
            yield chunk
    finally:
        left.set()
