"""One evaluating process: spawned, written to, and read by threads, until it ends."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .channel import Channel

_STOP = b""

_TO_END = 5.0
"""Seconds that the operating system may take to tell how a process ended."""

_DUMP_LIMIT = 4000
"""Characters of a crash dump that are kept."""


class Ended:
    """Nothing more comes: the child has closed its pipe."""


class ChildProcess:
    """One child process, with the threads that read what it writes."""

    def __init__(self) -> None:
        # Not a pipe: a process that crashes cannot wait for a reader.
        handle, name = tempfile.mkstemp(prefix="paredown-", suffix=".crash")
        os.close(handle)
        self._crash = Path(name)
        # Opened here as well: the child removes the name, so that none is left if it is killed.
        self._dump = self._crash.open("rb")
        self._process = subprocess.Popen(
            python_command("search.isolation.child", name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        reads, writes, errors = self._process.stdout, self._process.stdin, self._process.stderr
        if reads is None or writes is None or errors is None:
            raise RuntimeError("the pipes of the evaluating process are missing")
        self._channel = Channel(reads, writes)
        self._messages = queue.Queue[Any]()
        self._last_line = ""
        self._threads = [
            _in_background(self._read_messages),
            _in_background(lambda: self._read_errors(errors)),
        ]

    def is_alive(self) -> bool:
        """Whether it still runs, as far as is known."""
        return self._process.poll() is None

    def send(self, request: object) -> None:
        """Send a request. If nobody is there to read it, `next_message` will tell."""
        with contextlib.suppress(OSError):
            self._channel.send(request)

    def request_stop(self) -> None:
        """Ask it to end the work under way at the next step."""
        with contextlib.suppress(OSError):
            self._channel.send_bytes(_STOP)

    def next_message(self, seconds: float) -> Any:
        """The next message, or None if none came in time."""
        alive = self.is_alive()
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            # Processes that it has started may hold its pipe open when it is gone.
            return None if alive else Ended()

    def end(self) -> None:
        """Let it end, as it does when its pipe is closed."""
        self._channel.close_writing()
        try:
            self._process.wait(_TO_END)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_END)
        self._channel.close_writing()
        self._release()

    def obituary(self, while_doing: str) -> tuple[str, str]:
        """How it ended, in a sentence, and where it was then, for an issue report."""
        try:
            code = self._process.wait(_TO_END)
        except subprocess.TimeoutExpired:
            return f"the evaluating process closed its pipe{while_doing}", ""
        for thread in self._threads:
            thread.join(_TO_END)
        text = f"; it said: {self._last_line}" if self._last_line else ""
        dump = self._dump.read(_DUMP_LIMIT).decode(errors="replace")
        cause = cause_of(code)
        comma = "," if "," in cause and while_doing else ""
        return f"the evaluating process was ended by {cause}{comma}{while_doing}{text}", dump

    def _read_messages(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                self._messages.put(self._channel.receive())
        self._messages.put(Ended())
        self._channel.close_reading()

    def _read_errors(self, pipe: IO[bytes]) -> None:
        """Pass on what the child writes to standard error."""
        with contextlib.suppress(OSError, ValueError), pipe:
            for line in pipe:
                text = line.decode(errors="replace")
                self._last_line = text.strip() or self._last_line
                sys.stderr.write(text)

    def _release(self) -> None:
        for thread in self._threads:
            thread.join(_TO_END)
        self._dump.close()
        with contextlib.suppress(OSError):
            self._crash.unlink(missing_ok=True)


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that calls `main` of a module of Paredown's in another process.

    That finds modules where this process does: in absolute places, and such as are text.
    """
    places = [str(Path(place).absolute()) for place in sys.path if isinstance(place, str)]
    package, provided = __name__.partition(".")[0], ", ".join(map(repr, arguments))
    code = f"import sys; sys.path[:] = {places!r}; "
    return [sys.executable, "-c", f"{code}from {package}.{module} import main; main({provided})"]


def cause_of(code: int) -> str:
    """What an exit code says: negative ones are signals."""
    if code >= 0:
        return f"its own code, with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
    memory = hasattr(signal, "SIGKILL") and -code == signal.SIGKILL
    hint = ", most likely for lack of memory" if memory else ""
    return f"signal {-code} ({name}){hint}"


__all__ = ["ChildProcess", "Ended", "cause_of", "python_command"]
