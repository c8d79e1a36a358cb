"""Getting a benchmark's media onto this machine: fetching, and unpacking without surprises."""

from llava_eval.prepare.archives import Archive, find_archives, unpack
from llava_eval.prepare.hub import fetch_files
from llava_eval.prepare.members import Limits

__all__ = ["Archive", "Limits", "fetch_files", "find_archives", "unpack"]
