"""Ring 0, pure: one file per process manager, found by themselves; nothing else knows a manager's name.

Each module ends in ``MANAGER``, a value that fulfils ``app.core.manager.Manager``. A module without one is refused at
import, so that a manager can be neither half there nor silently left out; what several of them share is in modules
whose name begins with ``_``.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from app.core.manager import Manager


def _found() -> Iterator[Manager]:
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        manager: Manager = importlib.import_module(f"{__name__}.{module.name}").MANAGER
        if manager.name.replace("-", "_") != module.name:
            raise ValueError(f"app/managers/{module.name}.py holds a manager of another name: {manager.name}")
        yield manager


MANAGERS: Mapping[str, Manager] = MappingProxyType({manager.name: manager for manager in _found()})
