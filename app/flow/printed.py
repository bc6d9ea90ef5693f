"""What a command printed, as lines that a page can show: cut at line ends, masked, and made visible.

It stores nothing. Line numbers are those of the raw output, so that an address such as ``#L42`` means the same line
while the command runs and for ever after. Keeps law 13: secrets are masked before a line leaves this file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.display import masked, visible
from app.core.lifecycle import ACTING, GROWING, Request
from app.flow.ports import World
from app.store import output, requests

MOST_LINES = 5_000
_KEY_BEGINS, _KEY_ENDS = re.compile(rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"), b"-----END"
_LONGEST_BEGIN = 64


@dataclass(frozen=True, slots=True)
class Printed:
    """The last lines of an output. ``first`` is the number of the first of them, counted from 1."""

    is_shown: bool = False
    is_growing: bool = False
    lines: Sequence[str] = ()
    first: int = 1

    @property
    def next_line(self) -> int:
        """The number of the line that comes next."""
        return self.first + len(self.lines)


class Cutter:
    """Cuts a growing output into lines. A line is given out once it is whole, or once nothing more comes."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.offset = 0
        self.number = 1

    def take(self, data: bytes, *, is_over: bool) -> list[str]:
        """Return the lines that ``data``, which begins at ``offset``, makes whole."""
        end = len(data) if is_over else data.rfind(b"\n") + 1
        if not is_over and (key := _open_key(data, end)) >= 0:
            end = data.rfind(b"\n", 0, key) + 1  # what is masked together is shown together
        whole = data[:end]
        self.offset += end
        if not whole:
            return []
        found = lines_of(whole.decode("utf-8", "backslashreplace"))
        self.number += len(found)
        return found


def _open_key(data: bytes, end: int) -> int:
    """Return where the first private key begins of which no end has come, or -1; as fast, however many are begun."""
    last = data.rfind(_KEY_ENDS, 0, end)
    found = _KEY_BEGINS.search(data, max(0, last - _LONGEST_BEGIN), end)
    while found and found.end() <= last:
        found = _KEY_BEGINS.search(data, found.start() + 1, end)
    return found.start() if found else -1


def lines_of(text: str) -> list[str]:
    """Return a whole text as lines to show."""
    kept = masked(text).removesuffix("\n").split("\n")
    return [visible(line.rstrip("\r"), keep="\t") for line in kept]


async def of(world: World, request: Request) -> Printed:
    """Return what there is of a request's output now."""
    if request.is_by_hand or (request.started_at is None and not request.output_text):
        return Printed()
    lines = await whole(world, request)
    is_shown = bool(lines) or request.state in ACTING or request.exit_status is not None
    first = max(0, len(lines) - MOST_LINES)
    return Printed(is_shown, request.state in GROWING, lines[first:], first + 1)


async def fresh(world: World, request: Request, cutter: Cutter) -> list[str]:
    """Return the lines that came since."""
    data = await output.read(world.db, request.id, cutter.offset)
    return cutter.take(data, is_over=request.state not in GROWING)


async def whole(world: World, request: Request) -> list[str]:
    """Return all lines: from the text that was kept at the end, else from what has been streamed so far."""
    if request.output_text:
        text = await requests.text(world.db, request.output_text)
        if text is not None:
            return lines_of(text) if text else []
    return Cutter().take(await output.read(world.db, request.id), is_over=request.state not in GROWING)
