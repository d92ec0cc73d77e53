"""How figures are written for people; the only place where money is rounded."""

from collections.abc import Iterable
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from scorer.metrics import Share

BAR_WIDTH = 30
BARS = "▁▂▃▄▅▆▇█"


def money(micros: int, currency: str, *, signed: bool = False) -> str:
    """Write micros as units with two decimals, halves away from zero.

    >>> money(-1_234_565_000, "USD"), money(5_000_000, "EUR", signed=True)
    ('-1,234.57 USD', '+5.00 EUR')
    """
    hundredths = (abs(micros) + 5_000) // 10_000
    sign = "-" if micros < 0 and hundredths else "+" if signed and hundredths else ""
    return f"{sign}{hundredths // 100:,}.{hundredths % 100:02d} {currency}"


def percent(share: Share) -> str:
    """Write a share with its 95% interval, or say that it is unknown.

    >>> percent(Share(1, 100)), percent(Share(0, 0))
    ('1.00% [0.18%, 5.45%] of 100', 'unknown (none known)')
    """
    if share.rate is None:
        return "unknown (none known)"
    low, high = share.interval
    return f"{share.rate:.2%} [{low:.2%}, {high:.2%}] of {share.whole:,}"


def bar(part: int, whole: int) -> str:
    """Write a share and draw it.

    >>> bar(1, 10), bar(0, 0)
    (' 10.00% ███', '  0.00% ')
    """
    share = part / whole if whole else 0.0
    return f"{share:7.2%} " + ("█" * round(share * BAR_WIDTH) or ("▏" if part else ""))


def strip(values: Iterable[int], most: int) -> str:
    """Draw counts as a row of bars, the highest for `most`, and a dot for none.

    >>> strip([0, 1, 4, 8], 8), strip([0, 0], 0)
    ('·▁▄█', '··')
    """
    return "".join(BARS[-(-value * len(BARS) // most) - 1] if value else "·" for value in values)


class _PlainTable(Table):
    """A table that shows control characters instead of sending them to the terminal."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:  # noqa: ANN401
        shown = (printable(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


def printable(text: str) -> str:
    """Write a text from outside so that it can't move a terminal's cursor or change its colours.

    >>> print(printable("adv" + chr(27) + "[31m"))
    adv\\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def new_table(*columns: str) -> Table:
    """Return an empty table; a column whose name begins with `>` is aligned right."""
    made = _PlainTable(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column[:1] == ">" else "left")
    return made


def described(rows: Iterable[tuple[str, str]]) -> Table:
    """Return a table of labels and what they stand for."""
    made = _PlainTable(show_header=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for label, text in rows:
        made.add_row(label, text)
    return made
