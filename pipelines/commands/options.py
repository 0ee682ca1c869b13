"""`python -m pipelines options`: every key of the config, from the config classes themselves."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from curation.errors import ConfigError, unknown_name
from pipelines.config import RunConfig
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    sections = dict(walk(RunConfig, ""))
    wanted = arguments.section
    shown = [s for s in sections if s == wanted or not wanted or s.startswith(f"{wanted}.")]
    if not shown:
        raise ConfigError(unknown_name("section", wanted, [s for s in sections if s]))
    say("\n\n".join(describe(section, sections[section]) for section in shown))
    return 0


def walk(cls: type, path: str) -> Iterator[tuple[str, type]]:
    """Yield (section, config class) of a class and all below it."""
    yield path, cls
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        kind = hints[item.name]
        arguments = typing.get_args(kind)
        inner = arguments[0] if typing.get_origin(kind) is tuple else kind
        if dataclasses.is_dataclass(inner):
            inner_path = f"{path}.{item.name}" if path else item.name
            yield from walk(typing.cast("type", inner), inner_path)


def describe(section: str, cls: type) -> str:
    """Return the keys of a section with type, default and meaning."""
    texts = field_texts(cls)
    hints = typing.get_type_hints(cls)
    lines = [f"[{section}]" if section else "(top level)"]
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            continue
        lines.append(f"{item.name} = {default_of(item)}")
        text = " ".join(texts.get(item.name, "").split())
        lines += textwrap.wrap(text, 96, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def default_of(item: dataclasses.Field[Any]) -> str:
    """Return a field's default as TOML writes it."""
    if item.default is not dataclasses.MISSING:
        value = item.default
    elif item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    else:
        return "… (required)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        whole = any(map(dataclasses.is_dataclass, value))
        return "[[…]]" if whole else str(list(value)).replace("'", '"')
    return "unset" if value is None else repr(value).replace("'", '"')


def field_texts(cls: type) -> dict[str, str]:
    """Return the literal that follows each field in the source of a config class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for entry, following in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            texts[entry.target.id] = str(following.value.value)
    return texts
