"""The child's end of the channel, with a reader thread."""

import os
import queue
import threading
import time

from .channel import Channel

_ALIVE_EVERY = 1.0
"""Seconds without a message after which a heartbeat is sent."""


class Inbox:
    """Reads requests from the search in a thread, and sends messages back.

    Args:
        channel: the channel to the search.

    Attributes:
        stop_requested: set when the search wants the current request aborted.
    """

    def __init__(self, channel: Channel) -> None:
        self.stop_requested = threading.Event()
        self._channel, self._frames = channel, queue.Queue[bytes]()
        self._sent = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()

    def next_frame(self) -> bytes:
        """Wait for the next request."""
        return self._frames.get()

    def send(self, message: object) -> None:
        """Send a message to the search."""
        self._sent = time.monotonic()
        try:
            self._channel.send(message)
        except OSError:
            os._exit(0)

    def is_quiet(self) -> bool:
        """Whether a heartbeat is due."""
        return time.monotonic() - self._sent >= _ALIVE_EVERY

    def _listen(self) -> None:
        try:
            while True:
                frame = self._channel.receive_bytes()
                if frame:
                    self.stop_requested.clear()
                    self._frames.put(frame)
                else:
                    self.stop_requested.set()
        except (EOFError, OSError):
            # The search is gone. Exit without clean-up, as torch's threads may be running.
            os._exit(0)
