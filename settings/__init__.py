"""Settings: one declaration each gives field, flag, environment variable, default, help and parser.

A value comes from its flag, else from its environment variable, else from the file that the variable with `_FILE` names
(secrets only), else it is the default. An empty environment variable counts as unset.

`kinds` knows how values are written, `setting` how one is found, `declarations` lists them all, `loading` reads them,
`flags` brings them to the command line.
"""

from settings.declarations import ProviderSettings, Settings, declared
from settings.flags import SettingsCommand, SettingsGroup, flags_of, settings_of, settings_options
from settings.kinds import Address, ChatStreamUsage, LimitsScope, Network, RecordPolicy, TokenCreation, scrub_uri
from settings.loading import load, unknown_variables
from settings.setting import Setting, SettingError

__all__ = [
    "Address",
    "ChatStreamUsage",
    "LimitsScope",
    "Network",
    "ProviderSettings",
    "RecordPolicy",
    "Setting",
    "SettingError",
    "Settings",
    "SettingsCommand",
    "SettingsGroup",
    "TokenCreation",
    "declared",
    "flags_of",
    "load",
    "scrub_uri",
    "settings_of",
    "settings_options",
    "unknown_variables",
]
