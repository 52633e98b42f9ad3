"""YAML as plain data: no aliases, and no duplicate keys."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(data: bytes) -> Any:
    """Read a document of YAML 1.1.

    Raises:
        ValueError: It is none, or has an alias or a key twice. The text names the line.
    """
    try:
        return yaml.load(data, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses aliases, because a few can expand to very much, and duplicate keys, because one would be lost."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a value."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"line {self.peek_event().start_mark.line + 1}: an alias (*name) is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Make an object."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"line {key.start_mark.line + 1}: {key.value} is there twice")
                seen.add(key.value)
        return super().construct_mapping(node, deep)
