"""Settings: one declaration each gives field, flag, environment variable, default, help and parser.

A value comes from its flag, else from its environment variable, else from the file that the variable with `_FILE` names
(secrets only), else it is the default. An empty environment variable counts as unset.

Click does flags, types, order and help. `kinds` are its types, a `setting` its option, `declarations` lists them all,
`loading` reads what is beyond one option, and gives commands their settings.
"""

from settings.declarations import Settings, declared
from settings.kinds import Address, ChatStreamUsage, LimitsScope, Network, RecordPolicy, TokenCreation, scrub_uri
from settings.loading import SettingsCommand, SettingsGroup, flags_of, load, settings_of, unknown_variables
from settings.providers import ProviderSettings
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
    "unknown_variables",
]
