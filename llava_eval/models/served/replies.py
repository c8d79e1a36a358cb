"""From a server's response to a generation."""

from __future__ import annotations

from llava_eval.endpoint import Completion, RequestError
from llava_eval.types import Generation, GenerationSettings, StopReason


def check_end(completion: Completion) -> None:
    """Raise RequestError where a reply was broken off or held back."""
    if completion.finish_reason not in ("stop", "length", None):
        raise RequestError(f"the server ended the reply for {completion.finish_reason!r}")


def to_generation(completion: Completion, settings: GenerationSettings) -> Generation:
    """Return a response as the model's text, up to the first stop string.

    Some servers leave the stop string in the text, others cut the text before it; those that cut
    without saying why give the reason "eos".
    """
    text = completion.text
    reason: StopReason | None = None
    if completion.finish_reason is not None:
        reason = "length" if completion.finish_reason == "length" else "eos"
    # vLLM names the stop string in stop_reason, SGLang in matched_stop; both also token numbers.
    matched = [completion.choice.get(name) for name in ("stop_reason", "matched_stop")]
    if any(stop in matched for stop in settings.stop_strings):
        reason = "stop_string"
    cuts = [text.find(stop) for stop in settings.stop_strings if stop in text]
    if cuts:
        text, reason = text[: min(cuts)], "stop_string"
    return Generation(
        text=text,
        num_input_tokens=completion.num_input_tokens,
        num_output_tokens=completion.num_output_tokens,
        stop_reason=reason,
    )
