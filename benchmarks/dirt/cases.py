"""The kinds of dirt: for each a file, and what a reader that loses nothing makes of it.

Every file has the columns `id` (whole numbers), `name` (text) and `amount` (decimal numbers of two
places), and good records around the dirt, so that it shows what becomes of these.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

Row = tuple[int | None, str | date | None, Decimal | None]


def row(number: int, name: str | date | None = "word", amount: str | None = "1.50") -> Row:
    """A row of the table."""
    return number, name, None if amount is None else Decimal(amount)


@dataclass(frozen=True)
class Case:
    """One kind of dirt. `rows` are the good records; `rejects` the others, as line and reason.
    `dialect` is what the user says of the file, in the words of `[source.csv]`; `dead` says that
    nothing can be made of the file. `kept` are rows that are no fault of a reader that cannot be
    told better: one without decimals of two places, with whole numbers of any size, without trim.
    `is_told` is false where nobody said how just this file is written: readers that look at a file
    for that are asked to. `date_format` is how names are written that are dates, `is_unique` says
    that an id may stand only once.
    """

    title: str
    data: bytes
    rows: Sequence[Row]
    rejects: Sequence[tuple[int, str]] = ()
    dialect: Mapping[str, Any] = field(default_factory=dict)
    kept: Sequence[Row] = ()
    extra_columns: str = "refuse"
    ending: str = ".csv"
    dead: bool = False
    is_told: bool = True
    date_format: str | None = None
    is_unique: bool = False


HEAD = b"id,name,amount\n"
ONE, TWO, THREE = row(1), row(2), row(3)


def around(dirt: bytes, *, head: bytes = HEAD) -> bytes:
    """A file with a good record before the dirt, and one after it."""
    return head + b"1,word,1.50\n" + dirt + b"3,word,1.50\n"


CASES = (
    Case("a field too many", around(b"2,word,1.50,x\n"), (ONE, THREE), ((3, "too_many_fields"),)),
    Case("a field too few", around(b"2,word\n"), (ONE, THREE), ((3, "too_few_fields"),)),
    Case("a text where a number should be", around(b"x,word,1.50\n"), (ONE, THREE), ((3, "type"),)),
    Case(
        "a whole number beyond 64 bits",
        around(b"9223372036854775808,word,1.50\n"),
        (ONE, THREE),
        ((3, "type"),),
        kept=(row(2**63),),
    ),
    Case("a hexadecimal number", around(b"0x1A,word,1.50\n"), (ONE, THREE), ((3, "type"),)),
    Case(
        "a number of more places than the column has",
        around(b"2,word,1.505\n"),
        (ONE, THREE),
        ((3, "type"),),
        kept=(row(2, "word", "1.505"),),
    ),
    Case(
        "a number with leading zeros, kept as text",
        around(b"2,08123,1.50\n"),
        (ONE, row(2, "08123"), THREE),
    ),
    Case("blank lines", around(b"\n\r\n\n"), (ONE, THREE)),
    Case(
        "an empty field, and an empty text",
        around(b'2,,1.50\n4,"",1.50\n'),
        (ONE, row(2, None), row(4, None), THREE),
    ),
    Case(
        "a newline between quotes",
        around(b'2,"two\nlines",1.50\n'),
        (ONE, row(2, "two\nlines"), THREE),
    ),
    Case(
        "a doubled quote",
        around(b'2,"5"" nails",1.50\n'),
        (ONE, row(2, '5" nails'), THREE),
    ),
    Case(
        "a quote within a field without quotes",
        around(b'2,5" nails,1.50\n'),
        (ONE, row(2, '5" nails'), THREE),
    ),
    Case(
        "a quote that nothing closes, in the last record",
        HEAD + b'1,word,1.50\n2,"word,1.50\n',
        (ONE,),
        ((3, "unclosed_quote"),),
    ),
    Case(
        "a quote that nothing closes, and records behind it",
        HEAD + b'1,word,1.50\n2,"word,1.50\n' + b"3,word,1.50\n" * 4,
        (ONE, *[THREE] * 4),
        ((3, "unclosed_quote"),),
    ),
    Case(
        "a quote that nothing closes, and a quoted value in the next record",
        around(b'2,"word,1.50\n4,"word",1.50\n'),  # one reject has both, as nothing parts them
        (ONE, THREE),
        ((3, "unclosed_quote"),),
    ),
    Case(
        "backslashes before quotes",
        around(b'2,"5\\" nails",1.50\n'),
        (ONE, row(2, '5" nails'), THREE),
        dialect={"escape": "\\"},
    ),
    Case(
        "record ends of three kinds",
        b"id,name,amount\r\n1,word,1.50\r2,word,1.50\n3,word,1.50\r\n",
        (ONE, TWO, THREE),
    ),
    Case("no newline at the end", HEAD + b"1,word,1.50\n3,word,1.50", (ONE, THREE)),
    Case("a byte order mark", b"\xef\xbb\xbf" + around(b""), (ONE, THREE)),
    Case(
        "a byte that is no UTF-8",
        around(b"2,caf\xe9,1.50\n"),
        (ONE, THREE),
        ((3, "encoding"),),
    ),
    Case(
        "cp1252",
        around("2,café 5 €,1.50\n".encode("cp1252")),
        (ONE, row(2, "café 5 €"), THREE),
        dialect={"encoding": "cp1252"},
    ),
    Case(
        "UTF-16 that nobody told of",
        around(b"2,word,1.50\n").decode().encode("utf-16"),
        (ONE, TWO, THREE),
        is_told=False,
    ),
    Case(
        "a NUL byte",
        around(b"2,wo\0rd,1.50\n"),
        (ONE, row(2, "wo\0rd"), THREE),
    ),
    Case(
        "columns in another order",
        b"amount,id,name\n1.50,1,word\n1.50,3,word\n",
        (ONE, THREE),
    ),
    Case(
        "a new column in the middle",
        b"id,note,name,amount\n1,x,word,1.50\n3,x,word,1.50\n",
        (ONE, THREE),
        extra_columns="ignore",
    ),
    Case("a column is missing", b"id,name\n1,word\n3,word\n", (), dead=True),
    Case(
        "semicolons that nobody told of",
        b"id;name;amount\n1;word;1.50\n2;a,b;1.50\n3;word;1.50\n",
        (ONE, row(2, "a,b"), THREE),
        is_told=False,
    ),
    Case(
        "titles above the header that nobody told of",
        around(b"2,word,1.50\n", head=b"Orders\nof March\n" + HEAD),
        (ONE, TWO, THREE),
        is_told=False,
    ),
    Case(
        "a header of two lines",
        around(b"", head=b"id,,\n,name,amount\n"),
        (ONE, THREE),
        dialect={"header": 2},
    ),
    Case(
        "a delimiter at the end of each record",
        b"id,name,amount,\n1,word,1.50,\n3,word,1.50,\n",
        (ONE, THREE),
    ),
    Case("comments", around(b"# 2,word,1.50\n"), (ONE, THREE), dialect={"comment": "#"}),
    Case(
        "a total at the end",
        HEAD + b"1,word,1.50\n3,word,1.50\nTotal,,3.00\n",
        (ONE, THREE),
        dialect={"skip_footer": 1},
    ),
    Case(
        "another table further down",
        around(b"") + b"\nname,share\nword,100\n",
        (ONE, THREE),
        ((5, "another_table"),),
        dialect={"tables": "first"},
    ),
    Case(
        "a date as 31.12.2024",
        b"id,name,amount\n1,31.12.2024,1.50\n3,01.02.2024,1.50\n",
        (row(1, date(2024, 12, 31)), row(3, date(2024, 2, 1))),
        date_format="%d.%m.%Y",
    ),
    Case(
        "an id that stands twice",
        around(b"1,other,1.50\n"),
        (ONE, THREE),
        ((3, "unique"),),
        kept=(row(1, "other"),),
        is_unique=True,
    ),
    Case(
        "semicolons and decimal commas",
        b"id;name;amount\n1;word;1,50\n2;word;1.234,50\n3;word;1,50\n",
        (ONE, row(2, "word", "1234.50"), THREE),
        dialect={"delimiter": ";", "decimal_comma": True, "thousands": "."},
    ),
    Case(
        "words for a missing value",
        around(b"2,NA,NA\n"),
        (ONE, row(2, None, None), THREE),
        dialect={"null_values": ["", "NA"]},
    ),
    Case(
        "blanks around fields",
        around(b" 2 , word , 1.50 \n"),
        (ONE, TWO, THREE),
        dialect={"trim": True},
        kept=(row(2, " word "), row(2, "word ")),
    ),
    Case("an empty file", b"", (), dead=True),
    Case("a header and nothing else", HEAD, ()),
    Case(
        "packed by gzip, and cut off",
        gzip.compress(HEAD + b"1,word,1.50\n" * 1000, mtime=0)[:-12],
        (),
        ending=".csv.gz",
        dead=True,
    ),
    Case("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01", (), dead=True),
)
