"""The evaluating process as the search holds it: started, asked, watched, and started again.

It is spawned and not forked (threads and GPUs do not survive a fork), and by `subprocess`, not by
`multiprocessing`, which would run the user's script again in the child. Both of its pipes and what
it writes to standard error are read by threads, so that waiting can be interrupted anywhere.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import cloudpickle

from ...objectives.cache import Cache
from ...objectives.outcome import Outcome
from ...objectives.progress import Progress
from ...objectives.rungs import LENIENT, Judge
from ...objectives.task_spec import TaskSpec
from ...spaces.plan import Plan
from .backend import (
    BaselineScore,
    EvaluationBackend,
    EvaluationFailed,
    EvaluatorDied,
    TaskSummary,
    TimeLimitReached,
)
from .channel import Channel
from .given_objects import CannotBeSent, objects_of
from .requests import (
    Alive,
    Answer,
    EpochEnded,
    Evaluate,
    GetBaseline,
    GetFittingError,
    Open,
    Raised,
    StageBegan,
    Stopped,
)

_STOP = b""
_TO_STOP = 2.0
"""Seconds that a step of work may still take once the time limit is reached."""

_TO_END = 5.0
"""Seconds that the operating system may take to tell how a process ended."""

_DUMP_LIMIT = 4000
"""Characters of a crash dump that are kept."""

_COMMAND = (
    "import sys; sys.path[:] = {path!r}; "
    "from {package}.search.isolation.child import main; main({crash!r})"
)

_DOING = {
    "baseline": "training the baseline",
    "assemble": "assembling the plan's network",
    "train": "training",
    "prune": "pruning",
    "fine-tune": "fine-tuning",
    "quantize": "quantizing",
    "score": "scoring",
}
"""Stage -> what goes on there, in words."""


class ProcessBackend(EvaluationBackend):
    """Evaluates plans in a child process, which is started again when it dies.

    Args:
        spec: of the task.
        cache: where trained networks are kept.
        progress: is told of stages and epochs, in this process.
        threads: that torch computes with.
        stall: seconds without a step after which the child counts as stuck.

    Raises:
        CannotBeSent: the task has objects that no other process can use.
    """

    def __init__(
        self, spec: TaskSpec, cache: Cache, progress: Progress, threads: int, stall: float
    ) -> None:
        self._progress, self._stall = progress, stall
        self._open = Open(spec, objects_of(spec), threads, (cache.folder, cache.limit))
        _check_sendable(self._open)
        self._baseline: BaselineScore | None = None
        self._child: _Child | None = None
        self.deadline = None

    def open(self) -> TaskSummary:
        summary: TaskSummary = _once_more(lambda: self._started(_Child()))
        return summary

    def baseline(self) -> BaselineScore:
        found: BaselineScore = _once_more(lambda: self._ask(GetBaseline()))
        self._baseline = found
        return found

    def fitting_error(self, plan: Plan) -> float:
        return float(self._ask(GetFittingError(plan)))

    def evaluate(self, plan: Plan, judge: Judge = LENIENT, seed: int | None = None) -> Outcome:
        outcome: Outcome = self._ask(Evaluate(plan, seed, judge))
        return outcome

    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        outcome: Outcome = _once_more(lambda: self._ask(Evaluate(plan, seed, on_test=True)))
        return outcome

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, request: object) -> Any:
        """Send a request to a living child, and wait for the answer."""
        if self._child is None or not self._child.is_alive():
            self._start_again()
        return self._answer(request)

    def _start_again(self) -> None:
        """Start a child in place of one that died."""
        self.close()
        self._started(_Child())
        if self._baseline is not None:
            # It is in the cache. Were it another one now, drops could not be compared.
            again = self._answer(GetBaseline())
            if again.digest != self._baseline.digest:
                raise EvaluatorDied(
                    "the evaluating process died, and the baseline that a new one loaded is "
                    "another: was the cache emptied meanwhile?"
                )

    def _started(self, child: "_Child") -> Any:
        self._child = child
        try:
            return self._answer(self._open)
        except BaseException:
            self.close()  # without a task it is of no use
            raise

    def _answer(self, request: object) -> Any:
        """Wait for the answer to a request. Whatever else ends the wait, ends the child too."""
        child = self._child
        if child is None:
            raise RuntimeError("there is no evaluating process")
        try:
            child.send(request)
            answer = self._wait(child, stall=None if isinstance(request, Open) else self._stall)
        except BaseException:
            self._child = None
            child.kill()
            raise
        if isinstance(answer, Stopped):
            raise TimeLimitReached
        if isinstance(answer, Answer):
            return answer.value
        if answer.error is not None:
            raise answer.error
        raise EvaluationFailed(answer.text, answer.details)

    def _wait(self, child: "_Child", stall: float | None) -> Answer | Raised | Stopped:
        doing, heard, stopping = "", time.monotonic(), False
        while True:
            now = time.monotonic()
            if stall is not None and now - heard > stall:
                raise EvaluatorDied(
                    f"the evaluating process made no step for {stall:g} s{_while(doing)}, and was "
                    "ended"
                )
            left = self.seconds_left()
            if left is not None and left <= 0 and not stopping:
                stopping = True
                child.request_stop()
            if left is not None and left <= -_TO_STOP:
                raise TimeLimitReached
            message = child.next_message(_patience(left, stopping))
            if message is None:
                continue
            heard = time.monotonic()
            if isinstance(message, Answer | Raised | Stopped):
                return message
            if isinstance(message, StageBegan):
                doing = message.name
                self._progress.stage(message.name, message.epochs)
            elif isinstance(message, EpochEnded):
                self._progress.epoch(message.done, message.loss)
            elif isinstance(message, _Ended):
                raise EvaluatorDied(*child.obituary(_while(doing)))
            elif not isinstance(message, Alive):
                raise TypeError(f"not a message: {message!r}")


class _Ended:
    """Nothing more comes: the child has closed its pipe."""


class _Child:
    """One child process, with the threads that read what it writes."""

    def __init__(self) -> None:
        # Not a pipe: a process that crashes cannot wait for a reader.
        handle, name = tempfile.mkstemp(prefix="paredown-", suffix=".crash")
        os.close(handle)
        self._crash = Path(name)
        command = _COMMAND.format(path=sys.path, package=__name__.partition(".")[0], crash=name)
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
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
            return None if alive else _Ended()

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
        said = f"; it said: {self._last_line}" if self._last_line else ""
        dump = self._crash.read_bytes().decode(errors="replace")[:_DUMP_LIMIT]
        cause = cause_of(code)
        comma = "," if "," in cause and while_doing else ""
        return f"the evaluating process was ended by {cause}{comma}{while_doing}{said}", dump

    def _read_messages(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                self._messages.put(self._channel.receive())
        self._messages.put(_Ended())
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
        self._crash.unlink(missing_ok=True)


def _once_more(work: Callable[[], Any]) -> Any:
    """Do what a search cannot do without a second time, if the child died the first time.

    It may have been killed from outside. What dies twice would die again.
    """
    try:
        return work()
    except EvaluatorDied:
        return work()


def _check_sendable(request: Open) -> None:
    """See that all that was given can be pickled; it is pickled again when it is sent.

    Raises:
        CannotBeSent: it cannot; the message says what, and why.
    """
    for given in request.objects.values():
        for name, thing in given.items():
            try:
                cloudpickle.dumps(thing)
            except Exception as error:  # objects may refuse with whatever they like
                said = " ".join(str(error).split())
                raise CannotBeSent(
                    f"{name} cannot be sent to another process ({type(error).__name__}: {said})"
                ) from None


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _patience(left: float | None, stopping: bool) -> float:
    """Seconds to wait for a message before the clock is looked at again."""
    if left is None:
        return 1.0
    return min(1.0, max(0.01, left + _TO_STOP if stopping else left))


def _while(doing: str) -> str:
    return f" while {_DOING.get(doing, doing)}" if doing else ""


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


__all__ = ["ProcessBackend", "cause_of"]
