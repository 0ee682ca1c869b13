"""The run configuration: the stages' own config classes, composed from TOML and `--set`.

Defaults < file < `--set section.key=value`. An unknown key, a wrong type or a value out of
range is an error that names the key, the value and the choices.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from curation.config import CurationConfig
from curation.errors import ConfigError, check_range, unknown_name
from curation.relevance import RelevanceConfig
from curation.splits import SplitConfig
from curation.synthesis.config import SynthesisConfig
from mining.config import MiningConfig
from mining.refresh_config import AnceConfig
from pipelines.ablation.config import AblateConfig
from pipelines.evaluation.config import EvaluationConfig
from train.config import ModelConfig, TrainConfig

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerConfig:
    """The `[runner]` table: the local default; options after `--` override it."""

    workers: int = 1
    """Worker processes of the local runner; 0: one per CPU."""

    def __post_init__(self) -> None:
        check_range("runner.workers", self.workers, 0, 1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole run: what `--print-config` prints and what is stored with the outputs."""

    out: str = "out"
    """Where all stages write: a folder or an fsspec URL."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The encoder, its tokenizer and its heads."""
    splits: SplitConfig = field(default_factory=SplitConfig)
    """Which documents are held out for evaluation."""
    curation: CurationConfig = field(default_factory=CurationConfig)
    """make curate"""
    relevance: RelevanceConfig = field(default_factory=RelevanceConfig)
    """make filter-pairs"""
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    """make synth"""
    mining: MiningConfig = field(default_factory=MiningConfig)
    """make mine-negatives"""
    train: TrainConfig = field(default_factory=TrainConfig)
    """make train"""
    ance: AnceConfig = field(default_factory=AnceConfig)
    """make train: negatives mined anew as the model learns"""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """make evaluate"""
    ablate: AblateConfig = field(default_factory=AblateConfig)
    """make ablate"""
    runner: RunnerConfig = field(default_factory=RunnerConfig)
    """The local runner."""


def load(path: str | None, overrides: list[str]) -> RunConfig:
    """Read a config file and apply `--set` overrides; raise `ConfigError` for anything unknown."""
    return build(RunConfig, read(path, overrides), "")


def read(path: str | None, overrides: list[str]) -> dict[str, Any]:
    """Return the tables of a config file with `--set` overrides, not yet checked."""
    data: dict[str, Any] = {}
    if path:
        try:
            with open(path, "rb") as handle:
                data = tomllib.load(handle)
        except OSError as error:
            raise ConfigError(f"cannot read the config {path!r}: {error.strerror}") from error
        except ValueError as error:  # no TOML, or no UTF-8
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for override in overrides:
        _apply(data, override)
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    """Set `a.b=value`, the value in TOML notation, in nested tables."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set takes section.key=value, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    set_key(data, name.strip(), value)


def set_key(data: dict[str, Any], name: str, value: Any) -> None:
    """Set the key `a.b` in nested tables; a number addresses an element of an array of tables."""
    *parents, last = name.split(".")
    node: Any = data
    for key in parents:
        node = _element(node, key, name) if isinstance(node, list) else _table(node, key, name)
    if not isinstance(node, dict):
        raise ConfigError(f"--set {name}: {'.'.join(parents)} is not a table")
    node[last] = value


def _table(node: Any, key: str, name: str) -> Any:
    if not isinstance(node, dict):
        raise ConfigError(f"--set {name}: {key!r} lies in a value, not in a table")
    return node.setdefault(key, {})


def _element(node: list[Any], key: str, name: str) -> Any:
    if not key.isdecimal() or int(key) >= len(node):
        raise ConfigError(f"--set {name}: {key!r} is not an index below {len(node)}")
    return node[int(key)]


def build(cls: type[C], data: Any, path: str) -> C:
    """Build a config dataclass from parsed TOML; `path` names it in messages."""
    if not isinstance(data, dict):
        raise ConfigError(f"{path or 'the config'} must be a table, got {data!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            where = f"key in [{path}]" if path else "section"
            raise ConfigError(unknown_name(where, key, known))
    values = {key: _convert(hints[key], data[key], _dotted(path, key)) for key in data}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"[{path}]: {str(error).partition(') ')[2] or error}") from error


def _dotted(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _convert(kind: Any, value: Any, path: str) -> Any:
    """Return `value` as the annotated type `kind`, or raise `ConfigError`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(typing.cast("type", kind), value, path)
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in arguments if a is not type(None)]
        return _convert(inner[0], value, path)
    if origin is tuple:
        return _convert_tuple(arguments, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong_type(path, value, "a table")
        return {str(k): _convert(arguments[1], v, f"{path}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is not Any and type(value) is not kind:
        raise _wrong_type(path, value, kind.__name__)
    return value


def _convert_tuple(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong_type(path, value, "a list")
    if arguments[-1] is Ellipsis:
        return tuple(_convert(arguments[0], v, f"{path}.{i}") for i, v in enumerate(value))
    if len(value) != len(arguments):
        raise ConfigError(f"{path} takes {len(arguments)} values, got {value!r}")
    pairs = zip(arguments, value, strict=True)
    return tuple(_convert(kind, v, f"{path}.{i}") for i, (kind, v) in enumerate(pairs))


def _wrong_type(path: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{path} = {value!r} is a {type(value).__name__}; it takes {wanted}")


def to_dict(config: Any) -> Any:
    """Return a config as plain tables and lists; unset optional values are left out."""
    if dataclasses.is_dataclass(config):
        items = ((f.name, getattr(config, f.name)) for f in dataclasses.fields(config))
        return {name: to_dict(value) for name, value in items if value is not None}
    if isinstance(config, tuple):
        return [to_dict(value) for value in config]
    return config


def to_toml(config: RunConfig) -> str:
    """Return the merged configuration as TOML."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))
