"""``llava-eval prepare``: fetch a benchmark, unpack it, and report whether it is complete."""

from __future__ import annotations

import contextlib
import logging
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from llava_eval.benchmarks.load import media_folder, read_samples
from llava_eval.benchmarks.prepare.media_files import media_files, subtitle_files
from llava_eval.benchmarks.prepare.members import Limits
from llava_eval.benchmarks.prepare.unpack import find_archives, unpack
from llava_eval.benchmarks.sources import HUB_SCHEME
from llava_eval.borders.hub_cache import hub_errors, snapshot
from llava_eval.borders.paths import is_there, names_file, open_file, reason
from llava_eval.config.build import build_target
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.schema import BenchmarkConfig
from llava_eval.errors import ConfigError, FetchError, MediaError, StorageError, first_line
from llava_eval.types import Media, Sample, levels_of

log = logging.getLogger(__name__)

WIDTH = 80


@dataclass
class Readiness:
    """Questions and media of a benchmark: how many there are, and which are missing.

    Attributes:
        benchmark: its configuration.
        num_samples, num_expected: questions found and expected; None if the expected number is not
            known, or only a part was selected.
        num_media: media files that the rows name.
        num_subtitles, num_subtitles_present: subtitle files named and found; not every video has
            one.
        unreadable: subtitle files that cannot be opened, and why.
        missing: media files that do not exist.
        damaged: media files that do not open, and why.
        counts: facet, level, questions found, questions expected.
    """

    benchmark: BenchmarkConfig
    num_samples: int
    num_expected: int | None
    num_media: int = 0
    num_subtitles: int = 0
    num_subtitles_present: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    counts: list[tuple[str, str, int, int]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether all questions and media are there, and at least one of any subtitle files."""
        return (
            self.num_expected in (None, self.num_samples)
            and not self.missing
            and not self.damaged
            and not self.unreadable
            and (self.num_subtitles_present > 0 or self.num_subtitles == 0)
            and all(found == expected for _, _, found, expected in self.counts)
        )


def prepare(composed: ComposedConfig) -> Readiness:
    """Fetch and unpack a benchmark's media as far as possible, and check rows and media.

    Raises:
        LlavaEvalError: something cannot be fetched or must not be unpacked, or the rows cannot be
            used.
    """
    benchmark = composed.config.benchmark
    _unpack_archives(benchmark)
    samples = read_samples(benchmark, build_target(benchmark.adapter, key="benchmark.adapter"))
    is_whole = benchmark.limit is None and not benchmark.where and benchmark.subsample.size is None
    readiness = Readiness(benchmark, len(samples), benchmark.num_rows if is_whole else None)
    _check_media(samples, readiness)
    if is_whole:
        readiness.counts = _counts(samples, benchmark.prepare.counts)
    return readiness


def _unpack_archives(benchmark: BenchmarkConfig) -> None:
    """Unpack archives from the hub, and those that are in the media folder already."""
    settings, root = benchmark.prepare, media_folder(benchmark.media_root)
    patterns = [*settings.archives, *settings.files]
    repository = settings.repository
    if repository is None and benchmark.source.startswith(HUB_SCHEME):
        repository = benchmark.source.removeprefix(HUB_SCHEME)
    if root is None:
        if patterns:
            raise ConfigError(
                f"benchmark.media_root is not set: give the folder that the media of "
                f"{benchmark.name} are to be unpacked into"
            )
        return
    files: list[Path] = []
    if repository is not None and patterns:
        revision = settings.revision or benchmark.revision
        if settings.archives:
            files += fetch_files(repository, revision, settings.archives)
        if settings.files:
            single = fetch_files(repository, revision, settings.files)
            place(single, root / settings.folder, Path(repository))
    # the media folder may be a clone of the data set, with archives in its folders
    files += _matching(root, ["*", *settings.archives])
    for path in files:
        if path.suffix.lower() in (".7z", ".rar"):
            log.warning("%s is to be unpacked by hand; zip and tar files are unpacked here", path)
    limits = Limits(int(settings.max_unpacked_gib * 2**30), settings.max_members)
    for archive in find_archives(files, settings.split_archives):
        unpack(archive, root / settings.folder, limits)


def place(files: Sequence[Path], target: Path, clone: Path | None = None) -> None:
    """Link files from the hub into a folder, under their paths in the data set.

    Existing files are kept, except for links to another revision.

    Args:
        files: files below a revision's folder in the hub's cache, or below a clone.
        target: the folder.
        clone: the clone's folder, for files below it.

    Raises:
        StorageError: a link cannot be made.
    """
    for file in files:
        if clone is not None and clone in file.parents:
            root = copy = clone
        else:
            root = next(folder for folder in file.parents if folder.parent.name == "snapshots")
            copy = root.parent.parent  # with all revisions
        path, source = target / file.relative_to(root), file.resolve()
        linked = path.resolve() if path.is_symlink() else source
        is_of_copy = copy.resolve() in linked.parents
        if is_there(path) and (linked == source or not is_of_copy):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a link to another revision, or into a deleted cache
            path.symlink_to(source)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _check_media(samples: Sequence[Sample], readiness: Readiness) -> None:
    from llava_eval.video.media import media_info

    subtitles = subtitle_files(samples)
    readiness.num_subtitles = len(subtitles)
    for path in subtitles:
        try:
            if names_file(path):
                open_file(path, "subtitles").close()
                readiness.num_subtitles_present += 1
        except OSError as error:
            readiness.unreadable.append((path, reason(error)))
    media = media_files(samples)
    readiness.num_media = len(media)
    for medium in tqdm(media, unit=" files", desc="checking", dynamic_ncols=True):
        if not is_there(medium.path):
            readiness.missing.append(medium.path)
            continue
        try:
            if medium.kind == "video":
                info = media_info(Media("video", medium.path))
                if info.num_frames == 0:
                    raise MediaError(f"{medium.path}: no frames")
            elif Path(medium.path).stat().st_size == 0:  # images are opened when they are shown
                raise MediaError(f"{medium.path}: the file is empty")
        except MediaError as error:
            readiness.damaged.append((medium.path, str(error)))


def _counts(
    samples: Sequence[Sample], expected: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, str, int, int]]:
    lines = []
    for facet, levels in expected.items():
        found: Counter[str] = Counter()
        for sample in samples:
            found.update(levels_of(sample.facets.get(facet, ""), levels))
        for level in dict.fromkeys([*levels, *found]):
            lines.append((facet, level, found[level], levels.get(level, 0)))
    return lines


def readiness_text(readiness: Readiness) -> str:
    """Return the result as text for people: counts, then missing files, then the verdict."""
    expected = "" if readiness.num_expected is None else f" of {readiness.num_expected}"
    num_present = readiness.num_media - len(readiness.missing)
    num_open = num_present - len(readiness.damaged)
    lines = [
        readiness.benchmark.name,
        f"  questions  {readiness.num_samples}{expected}",
        f"  media      {num_present} of {readiness.num_media} present, {num_open} open",
    ]
    if readiness.num_subtitles:
        num_present = readiness.num_subtitles_present
        lines.append(f"  subtitles  {num_present} of {readiness.num_subtitles} present")
    lines += [
        f"  {facet} {level}: {found} of {wanted} questions"
        for facet, level, found, wanted in readiness.counts
    ]
    lines += [f"  missing: {path}" for path in readiness.missing]
    damaged = [*readiness.damaged, *readiness.unreadable]
    lines += [f"  damaged: {path}: {why}" for path, why in damaged]
    for title, text in (
        ("licence", readiness.benchmark.licence),
        ("access", readiness.benchmark.prepare.gated),
        ("by hand", readiness.benchmark.prepare.manual),
    ):
        if text:
            lines += textwrap.wrap(
                f"{title}: {text}", WIDTH, initial_indent="  ", subsequent_indent="    "
            )
    lines.append("complete" if readiness.is_complete else "INCOMPLETE")
    return "\n".join(lines)


def fetch_files(repository: str, revision: str | None, patterns: Sequence[str]) -> list[Path]:
    """Fetch the files of a data set that match patterns, and return their paths.

    They are fetched into the hub's own cache (``HF_HOME``), with progress bars. Cached files are
    not fetched again, interrupted ones continue where they stopped, and without a network the
    cached ones are returned. Files of a clone stay where they are.

    Args:
        repository: "organisation/name", or the folder of a clone, as for rows.
        revision: branch, tag or commit; None is the main branch.
        patterns: shell patterns for the paths inside the repository.

    Raises:
        FetchError: the repository, the revision or the network is not available, or terms must be
            accepted first.
    """
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    if Path(repository).is_dir():
        return _matching(Path(repository), patterns)
    # In a shell "**/" also matches no folder; on the hub it needs at least one.
    asked = [*patterns, *(pattern.replace("**/", "") for pattern in patterns)]
    try:
        root = snapshot(repository, revision, asked, kind="dataset")
    except GatedRepoError as error:
        raise FetchError(
            f"{repository} is gated: agree to its terms on the hub, then log in (hf auth login)"
        ) from error
    except LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE is set" if is_offline_mode() else first_line(error)
        raise FetchError(
            f"{repository} is not on this machine, and cannot be fetched: {why}"
        ) from error
    except (*hub_errors(), ValueError) as error:
        raise FetchError(f"cannot fetch {repository}: {first_line(error)}") from error
    return _matching(root, patterns)


def _matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files below a folder that match any of the patterns, in order.

    Raises:
        ConfigError: a pattern is not valid.
        OSError: the system refuses the folder.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        root.stat()  # from Python 3.13 on, glob silently skips a folder that the system refuses
    try:
        found = {path for pattern in patterns for path in root.glob(pattern)}
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"benchmark.prepare: {', '.join(patterns)}: {error}") from error
    for path in sorted(found):
        if path.is_symlink() and not path.exists() and find_archives([path]):
            log.warning("%s is a link that leads nowhere: it is not unpacked", path)
    return sorted(path for path in found if path.is_file())
