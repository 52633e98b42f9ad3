"""Break the code in small ways, one at a time, and say which breakages no test notices.

    .venv/bin/python -m tests.mutants PACKAGE [--number N] [--seed N] [--tests FOLDER]..

Each mutant is made in a copy of the tree. It is killed when a test fails, or when they take too long.
"""

from __future__ import annotations

import ast
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click

ROOT = Path(__file__).parents[1]
MAX_SECONDS = 600
_OPPOSITES: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add,
}  # fmt: skip


def mutations(tree: ast.AST) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Each small change of a module: its line, what it is, and what makes it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITES:
            yield _replaced(node, node.ops[0], lambda op, node=node: node.ops.__setitem__(0, op))
        elif isinstance(node, (ast.BoolOp, ast.BinOp, ast.AugAssign)) and type(node.op) in _OPPOSITES:
            yield _replaced(node, node.op, lambda op, node=node: setattr(node, "op", op))
        elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
            negated = ast.UnaryOp(ast.Not(), node.test)
            yield node.lineno, "condition negated", lambda node=node, to=negated: setattr(node, "test", to)
        elif isinstance(node, ast.Constant) and isinstance(value := node.value, int):
            to = not value if isinstance(value, bool) else value + 1
            yield node.lineno, f"{value!r} -> {to!r}", lambda node=node, to=to: setattr(node, "value", to)


def _replaced(
    node: ast.expr | ast.stmt, operator: ast.AST, put: Callable[[ast.AST], None]
) -> tuple[int, str, Callable[[], None]]:
    to = _OPPOSITES[type(operator)]
    return node.lineno, f"{type(operator).__name__} -> {to.__name__}", lambda: put(to())


def is_killed(tree: Path, tests: tuple[str, ...]) -> bool:
    """Whether these tests fail in this copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "2", "--dist", "worksteal", *tests]
    try:
        return bool(subprocess.run(command, cwd=tree, capture_output=True, timeout=MAX_SECONDS, check=False).returncode)
    except subprocess.TimeoutExpired:
        return True


@click.command(help=__doc__)
@click.argument("package")
@click.option("--number", default=20, show_default=True)
@click.option("--seed", type=int, help="Default: a new one, which is printed.")
@click.option("--tests", multiple=True, help="Folders of tests; default: those of the package.")
def main(package: str, number: int, seed: int | None, tests: tuple[str, ...]) -> None:
    seed = seed or random.SystemRandom().randrange(1, 2**31)
    chosen, tests = random.Random(seed), tests or (f"tests/{package}",)
    known = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    files = [name for name in known if name.startswith(f"{package}/") and name.endswith(".py")]
    click.echo(f"{number} mutants of {package}, seed {seed}")
    with TemporaryDirectory(prefix="aibridge-mutants-") as folder:
        tree = Path(folder)
        for name in filter(None, known):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
        for linked in (".venv", "dashboard/node_modules", "tests/openid_provider/node_modules"):
            if (ROOT / linked).exists():
                (tree / linked).symlink_to(ROOT / linked)
        if is_killed(tree, tests):
            raise click.ClickException("these tests fail without a mutant")
        every = [(name, at) for name in files for at, _ in enumerate(mutations(ast.parse((tree / name).read_text())))]
        survivors = 0
        for name, at in chosen.sample(every, min(number, len(every))):
            source = (tree / name).read_text()
            module = ast.parse(source)
            line, what, make = list(mutations(module))[at]
            make()
            (tree / name).write_text(ast.unparse(ast.fix_missing_locations(module)))
            if not is_killed(tree, tests):
                survivors += 1
                click.echo(f"survived: {name}:{line} {what}")
            (tree / name).write_text(source)
    click.echo(f"{survivors} of {min(number, len(every))} survived")


if __name__ == "__main__":
    main()
