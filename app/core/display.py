"""Text, times and command lines from a host or a person, made harmless to show and safe to keep.

Two steps, both total, and both without effect on what they have treated already. ``masked`` takes secrets out and comes
before anything is stored; ``visible`` comes before anything is shown, and writes each character that a screen would act
on, or not draw, as its name between ‹ and ›: ``‹ESC›[2J``, ``‹U+202E›``, ``‹0x9B›`` for a byte that was no UTF-8.

It does not escape HTML (the templates do), and masking knows forms, not secrets: one in a form that is not listed here
is not recognised. Keeps law 13. Every pattern is bounded or begins where no other match can, so that no text can make
one slow.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

MASK = "•••"
LINE_CAP = 2_000
WORDS_CAP = 64

_NAMES = {0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x09: "TAB", 0x0A: "LF", 0x0D: "CR", 0x1B: "ESC", 0x7F: "DEL"}
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks by their category, yet nothing is drawn for them: fillers, joiners, variation selectors.
_UNDRAWN = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)}
)
# Marks piled on one letter run over the lines above and below; two are enough for every language.
_PILING = r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_TOWER = re.compile(rf"([{_PILING}]{{2}})([{_PILING}]+)")

_KEYWORD = (
    r"(?:password|passwd|passphrase|passwort|(?<![a-z])pass(?![a-z])|(?<![a-z])pwd(?![a-z])|secret|token|credential"
    r"|(?:api|access|private|auth|signing|encryption|master)[_-]?key)(?![\w.-]{0,20}(?:file|path|dir)\b)"
)
_VALUE = rf"""(?!{MASK})(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\S+)"""
_FORMS = (
    # A private key, to its end or to the end of what there is of it.
    (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)(?:(?!-----END)[\s\S])*"), rf"\1{MASK}"),
    # Headers, to the end of the line or of the quotes that they stand in.
    (
        re.compile(r"""(?i)((?<![\w-])(?:(?:proxy-)?authorization|(?:set-)?cookie)["']?[ \t]{0,3}[:=])[^\r\n"']+"""),
        rf"\1 {MASK}",
    ),
    (re.compile(r"(?i)((?<!\w)bearer[ \t]{1,3})[\w.~+/=-]+"), rf"\1{MASK}"),
    # scheme://user:password@host
    (re.compile(r"(://[^/\s@:]*:)[^/\s@]+(?=@)"), rf"\1{MASK}"),
    # --password VALUE, but not --no-password --port; and --key in both its forms.
    (re.compile(rf"(?i)((?<![\w-])--?[\w-]{{0,40}}{_KEYWORD}[\w-]{{0,40}}[ \t]+)(?!--){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(?i)((?<![\w-])--key(?:[ \t]+|=))(?!--){_VALUE}"), rf"\1{MASK}"),
    (re.compile(r"((?<!\w)sshpass[ \t]{1,3}-p[ \t]{0,3})\S+"), rf"\1{MASK}"),
    # password=VALUE, DB_PASSWORD: VALUE, "token": "VALUE"
    (re.compile(rf"""(?i)({_KEYWORD}[\w.-]{{0,40}}["']?[ \t]{{0,3}}[=:][ \t]{{0,3}}){_VALUE}"""), rf"\1{MASK}"),
    # Tokens that are known by their look.
    (
        re.compile(
            r"(?<![\w-])(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
            r"|xox[abeprs]-[\w-]{10,}|af_[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
        ),
        MASK,
    ),
)
# None of the forms above fits a text without one of these; most texts are done with one look.
_HINT = re.compile(
    r"(?i)pass|pwd|secret|token|credential|key|authorization|cookie|bearer|://|akia|gh[pousr]_|glpat|pat_|xox|af_|eyj"
)
_SECRET_WORD = re.compile(rf"(?i)(-{{0,2}}[\w.-]{{0,40}}{_KEYWORD}[\w.-]{{0,40}}=|--key=)[\s\S]+")
_SECRET_NEXT = re.compile(rf"(?i)--?[\w-]{{0,40}}{_KEYWORD}[\w-]{{0,40}}|--key")
_PLAIN_WORD = re.compile(rf"[\w@%+=:,./{MASK[0]}‹›-]+", re.ASCII)


class _Marks:
    """What ``str.translate`` asks, one character at a time."""

    def __init__(self, keep: str) -> None:
        self._keep = frozenset(map(ord, keep))

    def __getitem__(self, code: int) -> str:
        if code in self._keep or (mark := _mark(code)) is None:
            raise LookupError
        return mark


def visible(text: str, cap: int = LINE_CAP, keep: str = "") -> str:
    """Make a text harmless. ``cap`` counts its characters as they came; ``keep`` are left (newline, in a block)."""
    if len(text) <= cap and text.isascii() and text.isprintable():
        return text
    shown = _TOWER.sub(lambda tower: f"{tower[1]}‹{len(tower[2])} more marks›", text[:cap].translate(_Marks(keep)))
    return shown if len(text) <= cap else f"{shown}… {len(text) - cap:,} more"


def masked(text: str) -> str:
    """Replace what looks like a secret by ``•••``, keeping the name that it was given under."""
    if not _HINT.search(text):
        return text
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


def argv(words: Iterable[str], cap: int = 300) -> str:
    """Write a command line for reading: masked, visible, and quoted where a word holds more than plain characters."""
    words = tuple(words)
    # A program that writes its own title leaves empty words behind it.
    last = next((index for index in range(len(words), 0, -1) if words[index - 1]), 0)
    words = words[:last]
    shown: list[str] = []
    is_secret = False
    for word in words[:WORDS_CAP]:
        is_hidden = is_secret and not word.startswith("--")
        is_hinted = _HINT.search(word) is not None
        safe = masked(_SECRET_WORD.sub(rf"\1{MASK}", word)) if is_hinted else word
        shown.append(MASK if is_hidden else _quoted(safe))
        is_secret = is_hinted and not is_hidden and _SECRET_NEXT.fullmatch(word) is not None
    more = f" … {len(words) - WORDS_CAP:,} more words" if len(words) > WORDS_CAP else ""
    return visible(" ".join(shown), cap) + more


def moment(at: float) -> str:
    """Write epoch seconds that a host gave as UTC, ``2026-01-27 10:15:00 UTC``."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "a time that is none"


def span(seconds: float) -> str:
    """Write how long something took or lasts in its two largest units, ``6 d 4 h``; a negative span as its size."""
    if not abs(seconds) < 1e11:
        return "an unknown time"
    rest, parts = round(abs(seconds)), []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        parts.append(f"{count} {name}" if count else "")
    first = next((index for index, part in enumerate(parts) if part), len(parts))
    return " ".join(part for part in parts[first : first + 2] if part) or "0 s"


def _quoted(word: str) -> str:
    shown = visible(word)
    if _PLAIN_WORD.fullmatch(shown):
        return shown
    return "'" + shown.replace("'", "'\\''") + "'"


@lru_cache(maxsize=1024)
def _mark(code: int) -> str | None:
    """Return the name of a harmful character, None for a harmless one."""
    if 0xDC80 <= code <= 0xDCFF:
        return f"‹0x{code - 0xDC00:02X}›"
    character = chr(code)
    is_odd_blank = unicodedata.category(character) == "Zs" and character != " "
    if unicodedata.category(character) in _HARMFUL or code in _UNDRAWN or is_odd_blank:
        return f"‹{_NAMES.get(code) or f'U+{code:04X}'}›"
    return None
