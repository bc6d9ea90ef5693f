"""Where templates and migrations lie, in a checkout and in an installed package.

The wheel carries both folders as `app/_data/`; a checkout, or an editable install, has them beside `app/`.
This file alone knows that. It opens and reads nothing.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


TEMPLATES = _folder("templates")
MIGRATIONS = _folder("migrations")
