"""Checks before a model is loaded: media, the judge, and free space on the disk."""

from __future__ import annotations

import logging
import shutil
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from llava_eval.benchmarks.prepare.media_files import check_media_files
from llava_eval.borders.paths import is_surely_folder
from llava_eval.config.schema import JudgeConfig, RunConfig
from llava_eval.scoring.judge.judge import read_judge_key
from llava_eval.types import Sample
from llava_eval.video.cache import cache_folder

log = logging.getLogger(__name__)

#: Warn if less space is free for ledgers and cached frames.
_LEAST_FREE_BYTES = 1e9
_JUDGE_TIMEOUT_SECONDS = 3.0


def check_before_loading(
    config: RunConfig, samples: Sequence[Sample], judge: JudgeConfig | None, directory: Path
) -> None:
    """Check media, the judge and free disk space; warn of problems that need not stop the run.

    Args:
        config: configuration of the run.
        samples: samples to answer.
        judge: the judge, if the protocol has one.
        directory: the run directory; it need not exist yet.

    Raises:
        ConfigError: none of the media exist, or the judge's API key is missing.
    """
    check_media_files(samples, config.benchmark)
    if judge is not None:
        read_judge_key(judge)
        _find_judge(judge.base_url, directory)
    for folder in (directory, cache_folder()):
        if folder is not None:
            _check_space(folder.absolute())


def _find_judge(address: str, directory: Path) -> None:
    parts = urlsplit(address)
    if urllib.request.getproxies().keys() - {"no"} or parts.hostname is None:
        return  # the connection goes through a proxy
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname, port), _JUDGE_TIMEOUT_SECONDS).close()
    except OSError as error:
        log.warning(
            "the judge at %s cannot be reached now (%s); replies are kept, and the same command "
            "with output_dir=%s asks it later",
            address,
            error.strerror or error,
            directory,
        )


def _check_space(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if is_surely_folder(path))
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE_BYTES:
        log.warning("%.2f GB are free for %s", free / 1e9, folder)
