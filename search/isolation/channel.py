"""Python objects over a pair of pipes, in length-prefixed frames.

Objects are pickled by cloudpickle, which supports classes and functions that were defined in a
notebook or script: https://github.com/cloudpipe/cloudpickle. Both ends are Paredown's own
processes; data from user files is never unpickled.
"""

import contextlib
import struct
from threading import Lock
from typing import IO, Any

import cloudpickle

_LENGTH = struct.Struct(">Q")


class Channel:
    """One end of a connection. Any thread may send; one thread at a time may receive.

    Args:
        reads, writes: the pipes, in binary mode.
    """

    def __init__(self, reads: IO[bytes], writes: IO[bytes]) -> None:
        self._reads, self._writes, self._lock = reads, writes, Lock()

    def send(self, message: object) -> None:
        """Send an object.

        Raises:
            OSError: the other end is closed.
        """
        self.send_bytes(cloudpickle.dumps(message))

    def receive(self) -> Any:
        """Wait for the next object.

        Raises:
            EOFError: the other end was closed.
        """
        return cloudpickle.loads(self.receive_bytes())

    def send_bytes(self, data: bytes) -> None:
        """Send a frame of bytes, which may be empty."""
        with self._lock:
            self._writes.write(_LENGTH.pack(len(data)))
            self._writes.write(data)
            self._writes.flush()

    def receive_bytes(self) -> bytes:
        """Wait for the next frame."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._read(length)

    def close_writing(self) -> None:
        """Close the writing pipe; the other end receives EOFError."""
        with contextlib.suppress(OSError):
            self._writes.close()

    def close_reading(self) -> None:
        """Close the reading pipe; only for the receiving thread."""
        with contextlib.suppress(OSError):
            self._reads.close()

    def _read(self, count: int) -> bytes:
        data = self._reads.read(count)
        if data is None or len(data) < count:
            raise EOFError("the other end was closed")
        return data
