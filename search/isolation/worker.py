"""Serves the requests of a search in the evaluating process."""

from functools import partial

import cloudpickle
import torch

from ...errors import ParedownError
from ...extensions import load_extensions
from ...heartbeat import listening
from ...objectives.evaluation.checkpoints import EarlyStopped
from ...objectives.training.cache import Cache
from ...objectives.training.progress import Progress
from ...references import load_code, with_torchvision
from ...spaces.blocks.families import block_graph
from .evaluators import Evaluators
from .given_objects import CannotBeSent, register_objects
from .inbox import Inbox
from .requests import (
    Alive,
    EpochEnded,
    Evaluate,
    GetBaseline,
    GetFittingError,
    GetPiece,
    Open,
    Raised,
    Reply,
    StageBegan,
    Stopped,
)


class StopRequested(BaseException):
    """The search wants the request aborted. NOTE: a BaseException, so no handler catches it."""


class _Reporter(Progress):
    """Sends progress to the search."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def stage(self, name: str, epochs: int = 0) -> None:
        self._inbox.send(StageBegan(name, epochs))

    def epoch(self, done: int, loss: float) -> None:
        self._inbox.send(EpochEnded(done, loss))

    def beat(self) -> None:
        """Report progress, or abort the request if the search asked for it."""
        if self._inbox.stop_requested.is_set():
            raise StopRequested
        if self._inbox.is_quiet():
            self._inbox.send(Alive())


def _loaded(frame: bytes) -> object:
    """Unpickle a request, which may import user code.

    Raises:
        CannotBeSent: this process cannot load an in-memory object.
    """
    try:
        request: object = with_torchvision(partial(cloudpickle.loads, frame))
        return request
    except Exception as error:
        raise CannotBeSent(
            f"an object cannot be loaded in another process ({type(error).__name__}: {error})"
        ) from None


class Worker:
    """Serves one search.

    Args:
        inbox: receives requests and sends replies.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._reporter = inbox, _Reporter(inbox)
        self._evaluators: Evaluators | None = None
        self._alive: object = None

    def serve(self) -> None:
        """Serve requests forever; the inbox exits the process when the search is gone."""
        while True:
            frame = self._inbox.next_frame()
            try:
                with listening(self._reporter.beat):
                    reply: Reply | Raised | Stopped = Reply(self._do(_loaded(frame)))
            except StopRequested:
                reply = Stopped()
            except Exception as error:
                reply = Raised.of(error, (ParedownError, EarlyStopped, CannotBeSent))
            self._inbox.send(reply)

    def _do(self, request: object) -> object:
        if isinstance(request, Open):
            return self._open(request)
        if isinstance(request, GetPiece):
            return block_graph(request.family, request.spec)
        if self._evaluators is None:
            raise RuntimeError("no task was opened")
        if isinstance(request, GetBaseline):
            return self._evaluators.baseline()
        if isinstance(request, GetFittingError):
            return self._evaluators.fitting_error(request.plan)
        if isinstance(request, Evaluate) and request.on_test:
            return self._evaluators.test(request.plan, request.seed)
        if isinstance(request, Evaluate):
            return self._evaluators.evaluate(request.plan, request.early_stopper, request.seed)
        raise TypeError(f"not a request: {request!r}")

    def _open(self, request: Open) -> object:
        if request.threads is not None:
            torch.set_num_threads(request.threads)
        load_extensions()
        for place in request.spec.imports:
            load_code(place)
        self._alive = register_objects(request.objects)
        folder, limit = request.cache
        self._evaluators = Evaluators(request.spec, Cache(folder, limit), self._reporter)
        return self._evaluators.summary()
