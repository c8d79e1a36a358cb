"""The errors that users see.

Every error that a user can cause or act upon derives from :class:`LlavaEvalError` and has a message
of one line: what was given, what was expected, and which sample, file or key. The command line
prints that line and exits with ``exit_code``: 2 if the command or its files are at fault, otherwise
1. A MediaError, PromptError or ForwardError is recorded for its samples instead. Any other
exception that escapes is a defect; its traceback is saved to a file.
"""

import os
import re
from pathlib import Path

#: An address in a text. It ends at a quote, except within a password or a query. The length of the
#: scheme is bounded so that a long text without spaces is matched in linear time.
_ADDRESS = re.compile(
    r"(?P<head>\w[\w+.-]{1,30}:[/\\]{2,3}|\b(?:https?|ftp)(?:[:;][/\\]{1,3}|//))"
    r"(?P<rest>(?:[^\s'\"]|['\"](?=[\w@]))*)",
    re.IGNORECASE,
)
#: User and password before a host, in addresses without a scheme.
_USER_INFO = re.compile(r"((?<![\w/:;])//)[^\s/'\"]*@|(?<![\w/.+-])[\w.+-]+:[^\s/@'\":]+@(?=\w)")
_WITHOUT_SLASHES = re.compile(r"\b((?:https?|ftp):)(?=[^\s'\"/\\.])[^\s'\"]+")
_NAMED_SECRET = re.compile(  # looks ahead for the value: otherwise quadratic in long words
    r"([?&](?=\w*+=[^\s&'\"])\w*(?:key|token|secret|passw|sig)\w*=)[^\s&'\"]+", re.IGNORECASE
)
#: A malformed address ("https:me:word@host"), or one that was joined to a folder like a path.
_WRONG_ADDRESS = re.compile(r"(?:.*?/)?(?:https?|ftp)[:;](?=.)", re.IGNORECASE | re.DOTALL)

_QUERY = re.compile(r"[?#;]|&(?=\w+=)")
#: A plausible host, with a numeric port; prefixes of known API keys are excluded.
_HOST = re.compile(r"(?!(?:sk-|hf_|gh[po]_|glpat-|xox\w-))(?:\[[\w:.]*\]|[^:%\[\]]*)(?::\d{0,5})?")

#: A message may quote the content of a file, which can have any size.
_LONGEST_MESSAGE = 2000


def without_secrets(text: str) -> str:
    """Remove user, password, query, parameters and fragment from all addresses in a text.

    Each of them may be a secret, and so may be an implausible host or port.

    Args:
        text: any text; "https://name:word@host/path?token=1" in it becomes "https://host/path?...".
    """
    text = _ADDRESS.sub(_shown_match, _WITHOUT_SLASHES.sub(r"\1...", text))
    return _NAMED_SECRET.sub(r"\1...", _USER_INFO.sub(r"\1", text))


def shown_address(path: str) -> str:
    """Return a path or address without its secrets; addresses may contain spaces and quotes.

    Args:
        path: of an address the query is removed, as signed links carry their key in it; a path that
            is not an address is returned unchanged.
    """
    head, separator, rest = path.partition("://")
    if separator:
        slashes = rest[: len(rest) - len(rest.lstrip("/"))]
        return head + separator + slashes + _without_secrets(rest.lstrip("/"))[0]
    wrong = _WRONG_ADDRESS.match(path)
    return f"{wrong[0]}..." if wrong else path


def _shown_match(address: re.Match[str]) -> str:
    """Return a matched address without its secrets."""
    rest = address["rest"].rstrip(".,:)")
    shown, mark = _without_secrets(rest)
    # The text after a query may still belong to it.
    return address["head"] + shown + (f"{mark}..." if mark else address["rest"][len(rest) :])


def _without_secrets(rest: str) -> tuple[str, str]:
    """Return an address without scheme and secrets, and the mark that begins its query."""
    authority = re.split(r"[/\\]", rest, maxsplit=1)[0]
    if "@" in authority:  # an "@" in the path is part of a name
        rest = authority.rpartition("@")[2] + rest[len(authority) :]
    elif ":" in authority:  # the slash may belong to the password
        rest = _QUERY.split(rest, maxsplit=1)[0].rpartition("@")[2] + "".join(
            _QUERY.findall(rest)[:1]
        )
    query = _QUERY.search(rest)
    shown = rest[: query.start()] if query else rest
    if not _HOST.fullmatch(re.split(r"[/\\]", shown, maxsplit=1)[0]):
        return "...", ""
    return shown, query[0] if query else ""


def one_line(message: str) -> str:
    """Return a message as one line without secrets; a very long one is cut in the middle."""
    line = without_secrets(" ".join(message.split()))
    if len(line) <= _LONGEST_MESSAGE:
        return line
    return f"{line[: _LONGEST_MESSAGE // 2]} ... {line[-_LONGEST_MESSAGE // 4 :]}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message; lines ending in a colon include the next.

    Args:
        error: the exception; if it has no message, the name of its class is returned.
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
    """A mistake in the command or its files."""

    exit_code = 2


class ConfigError(_Mistake):
    """A mistyped key, a wrong type, an unknown choice."""


class RunDirectoryError(_Mistake):
    """An output folder that belongs to another configuration or is in use."""


class ScoreError(_Mistake, ValueError):
    """A score that is not a plausible number, or a detail that is not a number."""


class RowsError(_Mistake):
    """Rows that are missing, lack a column, or have duplicate ids."""


class CheckpointError(_Mistake):
    """A checkpoint that does not exist, is of another kind, or does not fit its processor."""


class ArchiveError(LlavaEvalError):
    """An archive that is damaged, too large, or would write outside its folder."""


class FetchError(LlavaEvalError):
    """Hub files that cannot be downloaded: no network, unknown name, terms not accepted."""


class EngineError(LlavaEvalError):
    """Workers that cannot be started, that keep dying, or that cannot see a required file."""


class MediaError(LlavaEvalError):
    """A video or image that cannot be read: missing, truncated, empty, not a video."""


class PromptError(LlavaEvalError):
    """A prompt that the model's template cannot render as the protocol requires."""


class ForwardError(LlavaEvalError):
    """A failure of the model or its processor on one prompt, or logits that are not finite."""


class ServerError(LlavaEvalError):
    """A model server that stopped answering; failures of single requests are recorded instead."""


class StorageError(LlavaEvalError):
    """A run directory that cannot be written, for instance because the disk is full."""


class ComparisonError(_Mistake):
    """Runs that cannot be compared, or a file that is not a run, ledger or baseline."""


def defect_line(error: BaseException) -> str:
    """Save the traceback of a defect to a file, and return one line that says where it arose.

    If the traceback passes through the user's own code, that is the last line of it there.
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
