"""Measure what a module's tests notice: change the module in small ways, and run the tests on each.

    python scripts/mutate.py llava_eval/metrics/means.py --tests tests/metrics --num 20 --seed 1

A change that no test notices ("survived") is a line that could be wrong without anybody knowing,
or one whose change means nothing (an equivalent mutant): read it and decide. The tree is copied to
a temporary folder; nothing in the checkout is touched. Every mutant is tested in a fork of this
process, which has imported the large libraries once.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: Imported before forking: the libraries that take long, and none of the package's own modules.
_LIBRARIES = (
    "pytest",
    "torch",
    "transformers",
    "pandas",
    "scipy.stats",
    "hydra",
    "av",
)

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

#: Fields that hold no code that runs with the program: types, and what decorators are told.
_NOT_CODE = {"annotation", "returns", "decorator_list", "type_params", "type_comment"}


@dataclass(frozen=True)
class Mutation:
    """One small change of a module.

    Attributes:
        line: where it is, from 1.
        before: the code that is changed.
        after: what it becomes.
        apply: makes the change in the syntax tree that it was found in.
    """

    line: int
    before: str
    after: str
    apply: Callable[[], None]


def mutations(tree: ast.AST) -> Iterator[Mutation]:
    """Yield every change that can be made to a syntax tree, in a fixed order."""
    for node in _code(tree):
        yield from _of_expression(node)
        for _, old in ast.iter_fields(node):
            if isinstance(old, list) and old and isinstance(old[0], ast.stmt):
                yield from _deletions(old)
        if isinstance(node, ast.Return) and not _is_none(node.value):
            yield _replacing(node, node, "value", ast.Constant(None))


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, without types, error texts, log lines and asserts."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in _NOT_CODE:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _says_nothing(child):
                yield from _code(child)


def _says_nothing(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.AnnAssign(value=None):
            return True
        case ast.keyword(arg="strict"):  # of zip: a check that holds changes nothing
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
            return True
        case ast.Assign(value=ast.BinOp(op=ast.BitOr()) | ast.Subscript()):
            return isinstance(node.targets[0], ast.Name) and node.col_offset == 0  # names of types
    return False


def _of_expression(node: ast.AST) -> Iterator[Mutation]:
    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                yield _replacing(node, operators, index, _SWAPPED[type(operator)]())
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) | ast.BoolOp(op=operator):
            if type(operator) in _SWAPPED:
                yield _replacing(node, node, "op", _SWAPPED[type(operator)]())
        case ast.UnaryOp(op=ast.Not()):
            # Two nots are none.
            yield _replacing(node, node, "operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.UnaryOp(op=ast.USub()):
            yield _replacing(node, node, "op", ast.UAdd())
        case ast.Constant(value=bool() as value):
            yield _replacing(node, node, "value", not value)
        case ast.Constant(value=int() | float() as number):
            yield _replacing(node, node, "value", number + 1)


def _deletions(body: list[ast.stmt]) -> Iterator[Mutation]:
    for index, statement in enumerate(body):
        match statement:
            case (
                ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom())
                | ast.AugAssign()
                | ast.Continue()
                | ast.Break()
                | ast.Delete()
                | ast.Raise()
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            ) if not (isinstance(statement, ast.Expr) and _says_nothing(statement.value)):
                yield _replacing(statement, body, index, ast.Pass())


def _replacing(
    shown: ast.AST, parent: ast.AST | list[Any], key: str | int, new: object
) -> Mutation:
    """Return the change that puts something new into a node's field or a list's item."""

    def put(value: object) -> None:
        if isinstance(parent, list):
            parent[int(key)] = value
        else:
            setattr(parent, str(key), value)

    old = parent[int(key)] if isinstance(parent, list) else getattr(parent, str(key))
    before = ast.unparse(shown)
    put(new)
    after = (
        "(deleted)" if isinstance(new, ast.Pass) else ast.unparse(ast.fix_missing_locations(shown))
    )
    put(old)
    return Mutation(getattr(shown, "lineno", 0), before, after, lambda: put(new))


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def mutate(source: str, number: int) -> tuple[Mutation, str]:
    """Return a module's mutation with this number, and the module's text with it."""
    tree = ast.parse(source)
    mutation = list(mutations(tree))[number]
    mutation.apply()
    return mutation, ast.unparse(ast.fix_missing_locations(tree))


def run_tests(tree: Path, options: list[str], log: Path, timeout_seconds: float) -> str:
    """Run tests of a copied tree in a fork of this process.

    Args:
        tree: the copy.
        options: for pytest.
        log: file for what the tests print.
        timeout_seconds: time after which they are ended.

    Returns:
        "passed", "failed" or "timeout".
    """
    child = multiprocessing.get_context("fork").Process(target=_test, args=(tree, options, log))
    child.start()
    child.join(timeout_seconds)
    result = {None: "timeout", 0: "passed"}.get(child.exitcode, "failed")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid or 0, signal.SIGKILL)  # whatever the tests have left running
    child.join()
    return result


def _test(tree: Path, options: list[str], log: Path) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(folder for folder in sys.path if Path(folder) != ROOT)]
    import pytest

    sys.exit(pytest.main(["-x", "-n", "0", "--assert=plain", "-p", "no:cacheprovider", *options]))


def copy_tree(to: Path) -> Path:
    """Copy what tests need of the checkout."""
    leave = shutil.ignore_patterns(".*", "__pycache__", "outputs", "runs", "*.egg-info")
    return Path(shutil.copytree(ROOT, to / "tree", ignore=leave, symlinks=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("module", type=Path, help="the module, relative to the checkout")
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest is to run")
    parser.add_argument("--num", type=int, default=20, help="number of mutants (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the mutants (default: 0)")
    parser.add_argument("--slow", action="store_true", help="run tests that are marked slow, too")
    options = parser.parse_args()

    for library in _LIBRARIES:
        importlib.import_module(library)
    tests = [*options.tests, *([] if options.slow else ["-m", "not slow"])]
    module = options.module.resolve().relative_to(ROOT)
    source = (ROOT / module).read_text(encoding="utf-8")
    total = len(list(mutations(ast.parse(source))))
    numbers = sorted(random.Random(options.seed).sample(range(total), min(options.num, total)))
    survived = 0
    with tempfile.TemporaryDirectory(prefix="mutate") as folder:
        tree, log = copy_tree(Path(folder)), Path(folder) / "log.txt"
        start = time.monotonic()
        if run_tests(tree, tests, log, timeout_seconds=3600) != "passed":
            print(log.read_text(encoding="utf-8", errors="replace"))
            print(f"{module}: the tests do not pass on the module as it is", file=sys.stderr)
            return 2
        seconds = time.monotonic() - start
        print(f"{module}: {total} possible mutants, {len(numbers)} tried; {seconds:.1f} s each")
        for number in numbers:
            mutation, text = mutate(source, number)
            (tree / module).write_text(text, encoding="utf-8")
            result = run_tests(tree, tests, log, timeout_seconds=30 + 4 * seconds)
            survived += result == "passed"
            verdict = {"passed": "SURVIVED", "failed": "killed", "timeout": "killed (timeout)"}
            shown = " -> ".join(
                " ".join(text.split()) for text in (mutation.before, mutation.after)
            )
            print(f"{verdict[result]:16} {mutation.line:4}  {shown[:200]}", flush=True)
    num_killed = len(numbers) - survived
    print(
        f"{num_killed} of {len(numbers)} killed ({100 * num_killed / max(len(numbers), 1):.0f} %)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
