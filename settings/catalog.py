"""Every setting, by topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache

from settings.declarations import Settings
from settings.providers import ProviderSettings
from settings.setting import Setting


def declared_in(cls: type, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Field names and settings of `Settings` or `ProviderSettings`; `prefix` stands before the names of the settings."""
    for one in fields(cls):
        if one.metadata:
            yield one.name, Setting(name=prefix + one.name.replace("_", "-"), **one.metadata)


def declared(*topics: str) -> list[Setting]:
    """The settings of these topics, of all if none is named, by topic; those of further providers with `N` for the number.

    They are options of click's: `params=declared()` gives them to a `SettingsCommand`.
    """
    return [setting for setting in _everything() if not topics or setting.topic in topics]


@cache
def _everything() -> list[Setting]:
    everything = [setting for _, setting in declared_in(Settings)]
    everything += [setting for _, setting in declared_in(ProviderSettings, "provider-N-")]
    topics = list(dict.fromkeys(setting.topic for setting in everything))
    return sorted(everything, key=lambda setting: topics.index(setting.topic))
