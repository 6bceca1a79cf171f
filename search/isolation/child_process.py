"""One evaluating process, seen from the parent: its pipes, its reader threads and its end."""

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
"""Seconds to wait for a process to exit."""

_DUMP_LIMIT = 4000
"""Characters of a crash dump that are stored."""


class Ended:
    """Message: the child has closed its pipe."""


class ChildProcess:
    """One child process, with the threads that read its messages and its standard error."""

    def __init__(self) -> None:
        # A file, not a pipe: a crashing process cannot wait for a reader.
        handle, name = tempfile.mkstemp(prefix="paredown-", suffix=".crash")
        os.close(handle)
        self._crash = Path(name)
        # Opened here too, as the child unlinks the file: none is left if either is killed.
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
        """Whether the process is running."""
        return self._process.poll() is None

    def send(self, request: object) -> None:
        """Send a request. If the process is dead, `next_message` reports it."""
        with contextlib.suppress(OSError):
            self._channel.send(request)

    def request_stop(self) -> None:
        """Ask the process to abort the current request at its next heartbeat."""
        with contextlib.suppress(OSError):
            self._channel.send_bytes(_STOP)

    def next_message(self, seconds: float) -> Any:
        """The next message, or None after a timeout."""
        alive = self.is_alive()
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            # NOTE: a dead child's own subprocesses may still hold its pipe open.
            return None if alive else Ended()

    def end(self) -> None:
        """Close the pipe, upon which the process exits; kill it if it does not."""
        self._channel.close_writing()
        try:
            self._process.wait(_TO_END)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_END)
        self._channel.close_writing()
        self._release()

    def obituary(self, while_doing: str) -> tuple[str, str]:
        """How the process ended, in a sentence, and its crash dump for an issue report."""
        try:
            code = self._process.wait(_TO_END)
        except subprocess.TimeoutExpired:
            return f"the evaluating process closed its pipe{while_doing}", ""
        for thread in self._threads:
            thread.join(_TO_END)
        text = f"; its last output: {self._last_line}" if self._last_line else ""
        dump = self._dump.read(_DUMP_LIMIT).decode(errors="replace")
        cause = cause_of(code)
        comma = "," if "," in cause and while_doing else ""
        return f"the evaluating process {cause}{comma}{while_doing}{text}", dump

    def _read_messages(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                self._messages.put(self._channel.receive())
        self._messages.put(Ended())
        self._channel.close_reading()

    def _read_errors(self, pipe: IO[bytes]) -> None:
        """Forward the child's standard error."""
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
    """The command that calls `main` of one of Paredown's modules in another process.

    The process gets this one's `sys.path`, made absolute and without entries that are not text.
    """
    places = [str(Path(place).absolute()) for place in sys.path if isinstance(place, str)]
    package, provided = __name__.partition(".")[0], ", ".join(map(repr, arguments))
    code = f"import sys; sys.path[:] = {places!r}; "
    return [sys.executable, "-c", f"{code}from {package}.{module} import main; main({provided})"]


def cause_of(code: int) -> str:
    """Describe an exit code; negative ones are signals."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}"
    memory = hasattr(signal, "SIGKILL") and -code == signal.SIGKILL
    hint = ", most likely out of memory" if memory else ""
    return f"was killed by signal {-code} ({name}){hint}"


__all__ = ["ChildProcess", "Ended", "cause_of", "python_command"]
