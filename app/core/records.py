"""The gate's answer, read as records: framed lines of printable ASCII, in which hostile bytes cannot forge anything.

The first line is ``askfirst-gate 1 nonce=N verb=V gate=DIGEST level=LEVEL``, the last ``end nonce=N count=C``, C being
the number of lines before it. Between them each line is a record, ``kind key=value…``; a value is printable ASCII
without blank, every other byte and ``%`` is ``%XX``, and ``-`` is the empty value (a lone minus is ``%2D``)::

    askfirst-gate 1 nonce=0f3a… verb=probe gate=9f86d081884c7d65 level=open
    holder inode=48151 pid=4711
    process pid=4711 ppid=612 comm=gunicorn argv=gunicorn%00-w%002 cwd=/opt/pypnm-gui-lab
    end nonce=0f3a… count=3

Anything else is refused whole, as ``Unreachable`` with the code ``garbled``: another nonce or verb, a line before the
first or after the last, a key twice, a count that is not the number of lines, too long a line, too many, too much in
all. It does not say what a record means; that is ``reading``. Keeps law 13.
"""

import re
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from app.core.errors import Unreachable
from app.core.facts import Record

VERSION = 1
HEADER = "askfirst-gate"
LINE_BYTES = 64 << 10
# The whole of a spool, a MiB of output in hexadecimal, is half of it.
ANSWER_BYTES = 4 << 20
# A record of seven bytes takes fifty times its size once it is read.
RECORDS = 1 << 16

_KIND = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)?")
_FIELD = re.compile(r"([a-z][a-z0-9-]*)=((?:[!-$&-~]|%[0-9A-F]{2})+)")


class Reader:
    """Reads one answer as it comes, piece by piece. After any error it reads nothing more."""

    def __init__(self, nonce: str, verb: str, cap_bytes: int = ANSWER_BYTES) -> None:
        """Expect the answer to what was asked with this nonce and verb, of so many bytes at most."""
        self._expected = (nonce, verb)
        self._left = cap_bytes
        self._rest = b""
        self._lines = 0
        self._is_ended = False

    def feed(self, data: bytes) -> list[Record]:
        """Take a piece; return the records that it completes, the header first. Raises Unreachable (garbled)."""
        self._left -= len(data)
        if self._left < 0:
            raise garbled("it is far too long")
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            raise garbled("a line is far too long")
        return [record for line in lines if (record := self._record(line))]

    def close(self) -> None:
        """Say that nothing more comes. Raises Unreachable (garbled) unless the answer is whole."""
        if not self._is_ended or self._rest:
            raise garbled("it is cut short" if self._lines else "it never began")

    def _record(self, line: bytes) -> Record | None:
        if self._is_ended:
            raise garbled("it goes on after its end")
        record = _parse(line)
        if self._lines == 0:
            self._check_header(record)
        elif record.kind == "end":
            self._check_end(record)
            return None
        elif record.kind == HEADER:
            raise garbled("it begins twice")
        elif self._lines >= RECORDS:
            raise garbled("it has far too many lines")
        self._lines += 1
        return record

    def _check_header(self, record: Record) -> None:
        if record.kind != HEADER or record.get("version") != str(VERSION):
            raise garbled("it does not begin as the gate's answers do")
        if (record.get("nonce"), record.get("verb")) != self._expected:
            raise garbled("it answers something else")

    def _check_end(self, record: Record) -> None:
        if record.get("nonce") != self._expected[0] or record.get("count") != str(self._lines):
            raise garbled("its end does not fit what came before")
        self._is_ended = True


def read(answer: bytes, nonce: str, verb: str) -> list[Record]:
    """Read a whole answer. Raises Unreachable (garbled) unless it is one."""
    reader = Reader(nonce, verb, max(len(answer), ANSWER_BYTES))
    records = reader.feed(answer)
    reader.close()
    return records


def garbled(why: str) -> Unreachable:
    """Make the error for an answer that is none of the gate's."""
    return Unreachable(
        f"The host's answer cannot be used: {why}.",
        code="garbled",
        next_step="Log in as Askfirst's user and run `sh -s </dev/null`: it must print nothing. Then try again.",
    )


def _parse(line: bytes) -> Record:
    if len(line) > LINE_BYTES:
        raise garbled("a line is far too long")
    try:
        kind, *words = line.decode("ascii").split(" ")
    except UnicodeDecodeError as error:
        raise garbled("a line holds bytes that the gate never prints") from error
    if kind == HEADER and words:
        words[0] = f"version={words[0]}"
    if not words or not _KIND.fullmatch(kind):
        raise garbled(f"the line {line[:60].decode('ascii', 'replace')!a} is no record")
    fields: dict[str, str] = {}
    for word in words:
        match = _FIELD.fullmatch(word)
        if match is None or match[1] in fields:
            raise garbled(f"a field of a record {kind[:40]!a} is none, or is there twice")
        fields[match[1]] = "" if match[2] == "-" else _decode(match[2])
    return Record(kind, MappingProxyType(fields))


def _decode(value: str) -> str:
    """Undo the percent-escapes; bytes that are no UTF-8 become surrogates, so that nothing is lost."""
    return unquote_to_bytes(value).decode("utf-8", "surrogateescape") if "%" in value else value
