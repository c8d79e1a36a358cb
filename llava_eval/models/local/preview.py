"""Prompts of a checkpoint whose weights are not loaded."""

from __future__ import annotations

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, first_line
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.load_model import load_processor
from llava_eval.models.local.plan import ModelPlan
from llava_eval.models.local.prepared_media import WholePrompts, shown_medium
from llava_eval.types import Clip, MediaKind, PreparedMedia, Request


class PromptPreview:
    """Writes prompts with the checkpoint's processor alone.

    Args:
        plan: which checkpoint, and with which settings.
        conversation: text around the user's turn.

    Raises:
        CheckpointError: the processor cannot be loaded.
    """

    def __init__(self, plan: ModelPlan, conversation: ConversationConfig) -> None:
        self._plan = plan
        processor = load_processor(plan)
        self._conversation = Conversation.of(conversation, processor)
        self._whole = WholePrompts(processor)
        self._tokenizer = processor.tokenizer

    def prepare(self, kind: MediaKind, clip: Clip) -> PreparedMedia:
        """Return a medium as a prompt shows it.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the frames.
        """
        return shown_medium(kind, clip, as_images=kind == "image" or self._plan.shows_images)

    def prompt(self, request: Request) -> tuple[str, list[str]]:
        """Return the text of a prompt, and its tokens with those of the media.

        Args:
            request: whose media :meth:`prepare` returned.

        Raises:
            PromptError: the text would not be what the request asks for.
            CheckpointError: the checkpoint has no chat template, or its processor fails.
        """
        text = self._conversation.render(request)
        try:
            inputs = self._whole.inputs((text, request.prepared_media))
        except Exception as error:  # a border: foreign code is given any media
            raise CheckpointError(
                f"{self._plan.checkpoint.name}: its processor fails on the first prompt: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
        ids = inputs["input_ids"][0].tolist()
        return text, list(map(str, self._tokenizer.convert_ids_to_tokens(ids)))
