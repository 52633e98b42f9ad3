"""All operations of the control plane: those that are declared in the modules of `handlers.api`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

from handlers import api
from handlers.api import policies, spend_limits
from handlers.operations.operation import by_path, operations_of

_MODULES = [import_module(one.name) for one in walk_packages(api.__path__, f"{api.__name__}.")]
OPERATIONS = [*operations_of(one for one in _MODULES if one is not spend_limits), *policies.OPERATIONS]
BY_PATH = by_path(OPERATIONS)
