"""The runner of a served model: requests over HTTP in, generations out."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llava_eval.borders.http_client import AddressError, RequestError
from llava_eval.errors import CheckpointError, PromptError, ServerError
from llava_eval.models.backend import Runner
from llava_eval.models.chat_client import Completion, RefusedError, RejectedError, ends_all
from llava_eval.models.clock import StageClock
from llava_eval.models.request_pool import (
    MAX_FAILURES_IN_A_ROW,
    FailureStreak,
    ask_all,
    with_retries,
)
from llava_eval.models.served.frame_cost import SMALL, Frames, FramesMissingError
from llava_eval.models.served.media_encoder import MediaEncoder
from llava_eval.models.served.messages import (
    Messages,
    chat_messages,
    choice_logprobs,
    generation_fields,
    readable,
    to_generation,
)
from llava_eval.models.served.option_losses import likeliest_option
from llava_eval.models.served.served_model import FrameTrial, ServedModel, open_client
from llava_eval.types import Clip, Generation, MediaKind, MediaProblem, Request, ServedMedia

_log = logging.getLogger(__name__)

#: Questions that are prepared together, as a multiple of the number of concurrent requests.
BATCHES_AHEAD = 4


class ServedRunner(Runner):
    """Generates texts for requests with a model behind an endpoint.

    Args:
        model: the served model.
        batch_size: questions that are prepared together; None derives it from the concurrency.
        clock: records the seconds of the stage "server_wait".

    Raises:
        ConfigError: a key is missing.
    """

    def __init__(
        self, model: ServedModel, *, batch_size: int | None = None, clock: StageClock | None = None
    ) -> None:
        self.model = model
        self._config = model.config.server
        self._dialect = model.server.dialect
        self.batch_size = batch_size or BATCHES_AHEAD * self._config.concurrency
        self.first_prompt: str | None = None
        self.guards: dict[str, Any] = {}
        self._clock = clock or StageClock()
        self._client = open_client(model.config)
        self._encoder = MediaEncoder(self._config, self._dialect, model.video_as)
        self._streak = FailureStreak()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answered_by: Counter[str] = Counter()
        self._num_requests = 0
        self._num_late = 0  # attempts in a row that took the whole time, over all questions
        self._keeps_spaces = False  # before an option; looked at with the first
        self._lists_logprobs = False  # with any reply
        self._proving = threading.Lock()
        self._lost: dict[int, str] = {}  # by number of frames, what a trial with so many found
        self._tried: set[tuple[Frames, ...]] = set()

    def prepare(self, kind: MediaKind, clip: Clip) -> ServedMedia:
        shown = self._encoder.encode(kind, clip)
        why = None if clip.video is None else self.model.unconfirmed
        if kind == "image":
            why = why or self.model.unconfirmed_images
        if why is None:
            return shown
        return replace(shown, problems=(MediaProblem("unconfirmed_frames", why),))

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        draws = bool(requests) and requests[0].settings.temperature > 0
        one_at_a_time = draws and not self._dialect.seeds_apart
        answers = ask_all(
            requests,
            self._answer,
            concurrency=1 if one_at_a_time else self._config.concurrency,
            stop=self._stop,
        )
        while True:
            with self._clock.stage("server_wait"):
                answer = next(answers, None)
            if answer is None:
                break
            yield answer
        for request in requests:
            for medium in request.media:
                assert isinstance(medium, ServedMedia)
                self._encoder.release(medium)
        self.guards["answered_by"] = dict(self._answered_by)
        self.guards["num_requests"] = self._num_requests

    def settings(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "concurrency": self._config.concurrency,
            "retries": self._config.retries,
            "timeout_seconds": self._config.timeout_seconds,
        }

    def describe(self) -> dict[str, Any]:
        return self.model.describe()

    def close(self) -> None:
        self._stop.set()
        self._client.close()
        self._encoder.close()

    def _answer(self, request: Request) -> Generation:
        """Send one question, in a thread; raises only if no other question can succeed either."""
        try:
            self._prove_frames(request)
            generation = self._generate(request)
            self._check_frames(request, generation.num_input_tokens)
        except (RequestError, PromptError, UnicodeError) as error:
            self._streak.add(error)
            num_failed = max(self._streak.num_unreachable, self._streak.num_passing)
            if self._streak.is_silence or self._is_lost(self._streak.num_passing):
                raise self._given_up(f"{num_failed} questions", error) from None
            is_sent = isinstance(error, RequestError)
            return Generation.failed(ServerError(str(error)) if is_sent else error)
        self._streak.add(None)
        return generation

    def _is_lost(self, num_failed: int) -> bool:
        """Return whether too many requests failed in a row and the list of models fails too."""
        if num_failed < MAX_FAILURES_IN_A_ROW:
            return False
        try:
            self._client.get("/models", min(60.0, self._config.timeout_seconds))
        except RequestError as error:
            return error.may_pass
        return False

    def _given_up(self, failed: str, error: Exception) -> ServerError:
        self._stop.set()
        return ServerError(
            f"{self.model.config.base_url} answers nothing any more, {failed} in a row, last: "
            f"{error}; what is done is kept, resume=true goes on"
        )

    def _generate(self, request: Request) -> Generation:
        """Return the model's text or the most likely option."""
        if request.options:
            end_token = self._config.end_token or ""
            is_first = not self._keeps_spaces
            found = likeliest_option(
                request, self._dialect, end_token, self._send, is_first=is_first
            )
            self._keeps_spaces = True
            return found
        messages = chat_messages(request, self._dialect, request.assistant_prefill)
        completion = self._send(messages, generation_fields(request, self._dialect))
        generation = to_generation(completion, request.settings)
        if not request.letters:
            return generation
        has_logprobs = bool(completion.choice.get("logprobs"))
        self._lists_logprobs |= has_logprobs
        if completion.text and not has_logprobs:
            if self._lists_logprobs:
                raise RejectedError("the server returned no log-probabilities with this reply")
            self._stop.set()
            raise CheckpointError(
                f"runner.keep_choice_logprobs=true: {self._dialect.label} returned no "
                "log-probabilities with its reply (logprobs, top_logprobs), as vLLM, SGLang and "
                "OpenAI do"
            )
        kept = choice_logprobs(completion, request.letters)
        return replace(generation, choice_logprobs=kept)

    def _send(self, messages: Messages, fields: Mapping[str, Any]) -> Completion:
        """Send one chat request, with retries as configured."""
        if self.first_prompt is None:
            self.first_prompt = readable(messages)
        try:
            completion = with_retries(
                lambda: self._send_once(messages, fields),
                self._config,
                stop=self._stop,
                streak=self._streak,
            )
        except (RefusedError, AddressError) as error:
            has_answered = bool(self._answered_by) or self.model.answers_as is not None
            if not ends_all(error, has_answered=has_answered and not self._streak.is_long):
                raise RejectedError(str(error)) from None
            self._stop.set()
            raise self.model.refused(error) from None
        completion.check_end()
        asked, answering = self.model.config.checkpoint, completion.model
        with self._lock:
            is_new = answering not in self._answered_by
            is_mixed = bool(self._answered_by)
            self._answered_by[answering] += 1
        if is_new and (is_mixed or not is_same_model(asked, answering)):
            _log.warning(
                "%s was asked for %s, and says that %s answers%s",
                self.model.config.base_url,
                asked,
                answering,
                ", as others did before" if is_mixed else "",
            )
        return completion

    def _send_once(self, messages: Messages, fields: Mapping[str, Any]) -> Completion:
        with self._lock:
            self._num_requests += 1
        start, limit = time.monotonic(), self._config.timeout_seconds
        try:
            completion = self._client.chat(self.model.config.checkpoint, messages, fields)
        except RequestError as error:
            if time.monotonic() - start >= limit:  # retries would probably take as long
                self._num_late += 1
                if self._num_late == 1 and self._config.retries:
                    _log.warning("%s: %s; it is asked again", self.model.config.base_url, error)
                if self._is_lost(self._num_late):
                    raise self._given_up(f"{self._num_late} requests", error) from None
            raise
        self._num_late = 0
        return completion

    def _prove_frames(self, request: Request) -> None:
        """Raise RejectedError if the server drops frames of a question with this many frames."""
        videos = _videos(request)
        lengths = [number for number, _ in videos]
        num_frames = sum(lengths) if self.model.video_as == "images" else max(lengths, default=0)
        with self._proving:
            if num_frames not in self._lost and videos not in self._tried:
                trial = FrameTrial(self.model, self._client)
                try:
                    self.model = trial.with_proven(num_frames, videos)
                    self._tried.add(videos)
                except FramesMissingError as error:
                    self._lost[num_frames] = f"{error}: the model does not see all of them"
                except RequestError as error:  # the next question tries it again
                    _log.debug("no probe of %d frames: %s", num_frames, error)
        if num_frames in self._lost:
            raise RejectedError(self._lost[num_frames])

    def _check_frames(self, request: Request, num_input_tokens: int | None) -> None:
        """Raise RejectedError if a prompt has too few tokens for all of its frames."""
        videos = _videos(request)
        texts = [piece for piece in request.content if isinstance(piece, str)]
        num_words = sum(len(text.split()) for text in [*texts, request.system or ""])
        num_images = sum(
            medium.kind == "image"
            and isinstance(medium, ServedMedia)
            and medium.size is not None
            and min(medium.size) >= min(SMALL)  # no smaller than a trial's
            for medium in request.media
        )
        least = self.model.least_tokens(videos, num_words, num_images)
        if least is None:
            return
        if num_input_tokens is None:
            raise RejectedError("the server did not count the prompt's tokens")
        if num_input_tokens < least:
            num_frames = sum(number for number, _ in videos)
            shown = f"{num_frames} frames" if videos else f"{num_images} images"
            raise RejectedError(
                f"the server counts {num_input_tokens} prompt tokens for {shown}, "
                f"expected at least {least}: the model did not see all of them"
            )


def is_same_model(asked: str, answering: str) -> bool:
    """Return whether a server's name of a model is the requested one, ignoring folder and date."""
    dated = re.search(rf"(^|/){re.escape(asked)}([-@:]\d\d[^a-zA-Z]*)?$", answering)
    return dated is not None or asked.endswith(f"/{answering}")


def _videos(request: Request) -> tuple[Frames, ...]:
    """Return the number and size of frames of each video of a request, if they are known."""
    return tuple(
        (len(medium.frame_indices), medium.size)
        for medium in request.media
        if isinstance(medium, ServedMedia) and medium.kind == "video" and medium.size is not None
    )
