"""Records that come back mended: their own boundaries, and a file around them."""

from __future__ import annotations

from collections.abc import Sequence

from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import Transcoded, codec_of, transcoded
from stagepipe.builtin.csv.margins import top


def records_in(of_file: Transcoded, head: bytes, dialect: Dialect) -> list[tuple[bytes, bool]]:
    """The records in some bytes of a file, and whether each is closed. `head` is the file's
    beginning, as text, by which the number of its fields is told."""
    structure = dialect.structure
    width = top(head, structure, dialect.margins).width
    spans = list(structure.spans(of_file.text, 0, width))
    there = of_file.places_in_file(edge for span in spans for edge in span[:2])
    return [(of_file.raw[there[a] : there[b]], is_closed) for a, b, is_closed in spans]


def copy_with(head: bytes, records: Sequence[bytes], dialect: Dialect) -> tuple[bytes, list[int]]:
    """A file that begins as `head` does, up to its first record, and then has these records."""
    codec = codec_of(head, dialect.codec)
    of_file = transcoded(head, codec)
    settled = top(of_file.text, dialect.structure, dialect.margins).settled
    end = "\n".encode(codec)
    pieces = [of_file.raw[: of_file.places_in_file([settled])[settled]]]
    size, starts = len(pieces[0]) + len(end), []
    for record in records:
        starts.append(size)
        pieces.append(record)
        size += len(record) + len(end)
    # The blank line at the end is where the file ends: no record is taken for its footer.
    return end.join([*pieces, b"", b""]), starts
