"""The runner of a served model: requests over HTTP in, generations out.

Asking many things of a server at once, in threads that nobody has to wait for.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from llava_eval.errors import CheckpointError, LlavaEvalError, PromptError, ServerError
from llava_eval.models.clock import StageClock
from llava_eval.models.http import Completion, RequestError, pause_seconds, read_completion
from llava_eval.models.local.media import FramePreprocessor
from llava_eval.models.served.encoding import MediaEncoder
from llava_eval.models.served.messages import (
    Messages,
    chat_messages,
    check_end,
    generation_fields,
    readable,
    to_generation,
)
from llava_eval.models.served.option_losses import likeliest_option
from llava_eval.models.served.plan import ServedPlan, open_client
from llava_eval.types import Clip, Generation, MediaKind, Request, ServedMedia

log = logging.getLogger(__name__)

#: Questions that are made ready together, as a multiple of those under way at once.
BATCHES_AHEAD = 4

#: Questions that fail one after another before nothing is tried twice any more, and before a
#: server that answers nothing at all counts as gone.
MAX_FAILURES_IN_A_ROW = 10


class ServedRunner:
    """Generates texts for requests with a model behind an endpoint.

    Args:
        plan: the server that was found, and how it is asked.
        batch_size: questions made ready together; None follows from the requests under way.
        clock: gets the seconds of the stage "server_wait".

    Attributes:
        batch_size, first_prompt, guards: see :class:`llava_eval.models.base.Runner`.

    Raises:
        ConfigError: the ``openai`` package is missing, or a key is.
    """

    def __init__(
        self, plan: ServedPlan, *, batch_size: int | None = None, clock: StageClock | None = None
    ) -> None:
        self.plan = plan
        self.batch_size = batch_size or BATCHES_AHEAD * plan.settings.concurrency
        self.first_prompt: str | None = None
        self.guards: dict[str, Any] = {}
        self._clock = clock or StageClock()
        self._client = open_client(plan.settings)
        self._encoder = MediaEncoder(plan)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answered_by: Counter[str] = Counter()
        self._num_requests = 0
        self._num_failed_in_a_row = 0
        self._num_silent_in_a_row = 0

    @property
    def frame_preprocessor(self) -> FramePreprocessor | None:
        """None: the server resizes frames itself."""
        return None

    def prepare(self, kind: MediaKind, clip: Clip, *, is_resized: bool = False) -> ServedMedia:
        """Encode one clip; may be called from other threads, ahead of :meth:`generate`.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the frames as they were decoded.
            is_resized: never.

        Raises:
            MediaError: the server cannot be given this video's address.
            StorageError: a clip cannot be written.
        """
        assert not is_resized
        return self._encoder.encode(kind, clip)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        """Yield a generation for every request, as the server answers.

        A request that fails, its further attempts and all, yields a generation with its error.

        Raises:
            CheckpointError: the server refuses the key or the model.
            ServerError: it has stopped answering.
        """
        alone = requests and requests[0].settings.temperature > 0 and not self._seeds_apart
        concurrency = 1 if alone else self.plan.settings.concurrency
        answers = ask_all(requests, self._answer, concurrency=concurrency, stop=self._stop)
        while True:
            with self._clock.stage("server_wait"):
                answered = next(answers, None)
            if answered is None:
                break
            yield answered
        for medium in {id(one): one for request in requests for one in request.media}.values():
            assert isinstance(medium, ServedMedia)
            self._encoder.release(medium)
        self.guards["answered_by"] = dict(self._answered_by)
        self.guards["num_requests"] = self._num_requests

    def settings(self) -> dict[str, Any]:
        """Return what the manifest says of the runner."""
        settings = self.plan.settings
        return {
            "batch_size": self.batch_size,
            "concurrency": settings.concurrency,
            "retries": settings.retries,
            "timeout_seconds": settings.timeout_seconds,
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        return self.plan.describe()

    def peak_device_memory_bytes(self) -> int | None:
        """None: the memory is the server's."""
        return None

    def close(self) -> None:
        """Close connections and remove files that were written for the server."""
        self._stop.set()
        self._client.close()
        self._encoder.close()

    @property
    def _seeds_apart(self) -> bool:
        return self.plan.server.dialect.seeds_apart

    def _answer(self, request: Request) -> Generation:
        """Ask one question; runs in a thread."""
        dialect = self.plan.server.dialect
        try:
            if request.options:
                end_token = self.plan.settings.end_token or ""
                generation = likeliest_option(request, dialect, end_token, self._send)
            else:
                messages = chat_messages(request, request.assistant_prefill)
                completion = self._send(messages, generation_fields(request, dialect))
                generation = to_generation(completion, request.settings)
        except (RequestError, PromptError, UnicodeError) as error:
            self._count_failure(error)
            kind = "ServerError" if isinstance(error, RequestError) else type(error).__name__
            return Generation(text=None, error=f"{kind}: {error}")
        with self._lock:
            self._num_failed_in_a_row = self._num_silent_in_a_row = 0
        return generation

    def _send(self, messages: Messages, fields: Mapping[str, Any]) -> Completion:
        """Send one chat until there is an answer, as often as the settings allow.

        Raises:
            RequestError: there is none.
            CheckpointError: there will be none for any request.
        """
        settings = self.plan.settings
        if self.first_prompt is None:
            self.first_prompt = readable(messages)
        for attempt in range(settings.retries + 1):
            with self._lock:
                self._num_requests += 1
            try:
                completion = read_completion(self._client.chat(settings.model, messages, fields))
                check_end(completion)
            except RequestError as error:
                if error.is_fatal:
                    self._stop.set()
                    raise self._refused(error) from None
                self._pause(attempt, error)
            else:
                with self._lock:
                    self._answered_by[completion.model] += 1
                return completion
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, attempt: int, error: RequestError) -> None:
        """Wait before the next attempt.

        Raises:
            RequestError: there is to be none.
        """
        settings = self.plan.settings
        pause = pause_seconds(attempt, error, settings.backoff_seconds)
        is_last = attempt == settings.retries or self._num_failed_in_a_row >= MAX_FAILURES_IN_A_ROW
        if not error.may_pass or pause is None or self._stop.is_set():
            raise error
        if is_last or self._stop.wait(pause):
            tried = RequestError(f"{error} ({attempt + 1} attempts)", is_silence=error.is_silence)
            raise tried from None

    def _count_failure(self, error: Exception) -> None:
        """Count a question that failed.

        Raises:
            ServerError: the server has been silent for too long.
        """
        is_silence = isinstance(error, RequestError) and error.is_silence
        with self._lock:
            self._num_failed_in_a_row += 1
            self._num_silent_in_a_row += is_silence
            num_silent = self._num_silent_in_a_row
        if num_silent >= MAX_FAILURES_IN_A_ROW:
            self._stop.set()
            raise ServerError(
                f"{self.plan.settings.base_url} answers nothing any more, {num_silent} questions "
                f"in a row, last: {error}; what is done is kept, resume=true goes on"
            )

    def _refused(self, error: RequestError) -> LlavaEvalError:
        settings = self.plan.settings
        is_short = error.status == 404 and not settings.base_url.rstrip("/").endswith("/v1")
        hint = "; the addresses of most servers end in /v1" if is_short else ""
        return CheckpointError(
            f"{settings.base_url} refuses model.checkpoint={settings.model}: {error}{hint}"
        )


#: How long an end before the last item waits for calls under way.
_PATIENCE_SECONDS = 1.0

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


def ask_all(
    items: Sequence[ItemT],
    ask: Callable[[ItemT], ValueT],
    *,
    concurrency: int,
    stop: threading.Event,
) -> Iterator[tuple[ItemT, ValueT]]:
    """Yield what asking each item gives, as it comes in.

    The threads are daemons: neither Ctrl-C nor the end of the process waits long for a server.

    Args:
        items: what to ask.
        ask: called in threads.
        concurrency: most calls at once.
        stop: set when the iteration ends early; no further item is begun then.

    Raises:
        BaseException: whatever a call raised.
    """
    waiting: queue.SimpleQueue[ItemT] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[ItemT, ValueT | None, BaseException | None]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, ask(item), None))
            except BaseException as error:  # noqa: BLE001 - raised again by the consumer
                done.put((item, None, error))

    threads = [
        threading.Thread(target=work, name=f"served-{number}", daemon=True)
        for number in range(min(concurrency, len(items)))
    ]
    for thread in threads:
        thread.start()
    is_complete = False
    try:
        for _ in items:
            item, value, error = done.get()
            if error is not None:
                raise error
            yield item, value  # type: ignore[misc]
        is_complete = True
    finally:
        if not is_complete:
            stop.set()
            deadline = time.monotonic() + _PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
