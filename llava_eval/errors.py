"""The errors that people see.

Every error that a user can cause or act upon derives from :class:`LlavaEvalError` and holds one
line: what came, what was expected, and which sample, file or key. The command line prints that
line and exits with ``exit_code``: 2 where the command or its files are at fault, otherwise 1. A
MediaError, PromptError or ForwardError is recorded for its samples instead. Anything else that
escapes is a defect and keeps its traceback.
"""

import os
import re
from pathlib import Path

#: An address in a text. Quotes end it, but for those within a password or a query. A scheme is
#: short: a text of any size, all of it one word, is read in one pass.
_ADDRESS = re.compile(
    r"(?P<head>\w[\w+.-]{1,30}:[/\\]{2,3}|\b(?:https?|ftp)(?:[:;][/\\]{1,3}|//))"
    r"(?P<rest>(?:[^\s'\"]|['\"](?=[\w@]))*)",
    re.IGNORECASE,
)
#: What precedes the host where no scheme does.
_USER_INFO = re.compile(r"((?<![\w/:;])//)[^\s/'\"]*@|(?<![\w/.+-])[\w.+-]+:[^\s/@'\":]+@(?=\w)")
_WITHOUT_SLASHES = re.compile(r"\b((?:https?|ftp):)(?=[^\s'\"/\\.])[^\s'\"]+")
_NAMED_SECRET = re.compile(  # looks for the value first, lest a long word take its square
    r"([?&](?=\w*+=[^\s&'\"])\w*(?:key|token|secret|passw|sig)\w*=)[^\s&'\"]+", re.IGNORECASE
)
#: An address that is none ("https:me:word@host"), or that was taken for a path below a folder.
_WRONG_ADDRESS = re.compile(r"(?:.*?/)?(?:https?|ftp)[:;](?=.)", re.IGNORECASE | re.DOTALL)

_QUERY = re.compile(r"[?#;]|&(?=\w+=)")
#: A host that can be one, with a port that is a number; keys of services have beginnings of theirs.
_HOST = re.compile(r"(?!(?:sk-|hf_|gh[po]_|glpat-|xox\w-))(?:\[[\w:.]*\]|[^:%\[\]]*)(?::\d{0,5})?")

#: A message may repeat what a file holds, and that may be of any size.
_LONGEST_MESSAGE = 2000


def without_secrets(text: str) -> str:
    """Return a text whose addresses hold no user, password, query, parameters or fragment.

    Any of them may be a secret, and so may be what stands for a host or a port and is none.

    Args:
        text: any text; "https://name:word@host/path?token=1" in it becomes "https://host/path?...".
    """
    text = _ADDRESS.sub(_shown_match, _WITHOUT_SLASHES.sub(r"\1...", text))
    return _NAMED_SECRET.sub(r"\1...", _USER_INFO.sub(r"\1", text))


def shown_address(path: str) -> str:
    """Return what may be shown of a path, or of an address with or without spaces and quotes in it.

    Args:
        path: signed links carry their key in the query, which is left out; any path that is no
            address is returned as it is.
    """
    head, separator, rest = path.partition("://")
    if separator:
        slashes = rest[: len(rest) - len(rest.lstrip("/"))]
        return head + separator + slashes + _without_secrets(rest.lstrip("/"))[0]
    wrong = _WRONG_ADDRESS.match(path)
    return f"{wrong[0]}..." if wrong else path


def _shown_match(address: re.Match[str]) -> str:
    """Return an address that a text holds as it may be shown."""
    rest = address["rest"].rstrip(".,:)")
    shown, mark = _without_secrets(rest)
    # What follows a query may belong to it.
    return address["head"] + shown + (f"{mark}..." if mark else address["rest"][len(rest) :])


def _without_secrets(rest: str) -> tuple[str, str]:
    """Return what may be shown of an address after its scheme, and what begins its query."""
    authority = re.split(r"[/\\]", rest, maxsplit=1)[0]
    if "@" in authority:  # an "@" in the path is a part of the name
        rest = authority.rpartition("@")[2] + rest[len(authority) :]
    elif ":" in authority:  # the slash may be one of the password
        rest = _QUERY.split(rest, maxsplit=1)[0].rpartition("@")[2] + "".join(
            _QUERY.findall(rest)[:1]
        )
    query = _QUERY.search(rest)
    shown = rest[: query.start()] if query else rest
    if not _HOST.fullmatch(re.split(r"[/\\]", shown, maxsplit=1)[0]):
        return "...", ""
    return shown, query[0] if query else ""


def one_line(message: str) -> str:
    """Return a message as one line without secrets; of a very long one, its beginning and end."""
    line = without_secrets(" ".join(message.split()))
    if len(line) <= _LONGEST_MESSAGE:
        return line
    return f"{line[: _LONGEST_MESSAGE // 2]} ... {line[-_LONGEST_MESSAGE // 4 :]}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, and those after a line that ends in a colon.

    Args:
        error: of which the class is returned where it has no message.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    end = next((number for number, line in enumerate(lines) if not line.endswith(":")), 0)
    return " ".join(lines[: end + 1]) if lines else type(error).__name__


class LlavaEvalError(Exception):
    """Base of all errors with a one-line message for the user."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class _Mistake(LlavaEvalError):
    """One in the command or its files."""

    exit_code = 2


class ConfigError(_Mistake):
    """A mistyped key, a wrong type, an unknown choice."""


class RunDirectoryError(_Mistake):
    """An output folder that belongs to another configuration or is in use."""


class ScoreError(_Mistake, ValueError):
    """A score that is no number within reason, or a detail that is no number."""


class RowsError(_Mistake):
    """Rows that are missing, lack a column, or have duplicate ids."""


class CheckpointError(_Mistake):
    """A checkpoint that does not exist, is of another kind, or does not fit its processor."""


class ArchiveError(LlavaEvalError):
    """An archive that is damaged, too large, or would write where it must not."""


class FetchError(LlavaEvalError):
    """Files of the hub that cannot be had: no network, no such name, terms not agreed to."""


class EngineError(LlavaEvalError):
    """Workers that cannot be had, that keep dying, or that cannot see what they need."""


class MediaError(LlavaEvalError):
    """A video or image that cannot be read: missing, truncated, empty, not a video."""


class PromptError(LlavaEvalError):
    """A prompt that the model's template cannot render as the protocol asks."""


class ForwardError(LlavaEvalError):
    """A model or its processor that fails on one prompt, or whose logits are not finite."""


class ServerError(LlavaEvalError):
    """A model server that has stopped answering; a single answer's failure is recorded instead."""


class StorageError(LlavaEvalError):
    """The run directory cannot be written, for instance because no space is left."""


class ComparisonError(_Mistake):
    """Runs that cannot be compared, or a file that is no run, ledger or baseline."""


def defect_line(error: BaseException) -> str:
    """Keep the traceback of a defect in a file, and return one line that says where.

    That is the last line of the user's own code, where it came through some.
    """
    import sysconfig
    import tempfile
    import traceback

    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    installed = map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))
    folders = tuple(f"{folder}{os.sep}" for folder in (Path(__file__).parent, *installed))
    own = [one for one in frames if not one[0].startswith(("<", *folders))]
    source, line = (own or frames)[-1]
    text = without_secrets("".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="llava-eval-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError:
        path = "no file, for none can be written"
    return (
        f"unexpected {type(error).__name__} in {source}, line {line}: "
        f"{LlavaEvalError(str(error))}; this is a defect of llava-eval, or of code that the "
        f"configuration names; its traceback is in {path}, and finished samples are kept"
    )
