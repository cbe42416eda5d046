"""Guessing a pipeline: a source for each folder of files, and the one table that all of them yield.

The files of a source are held against each other. Most of them decide; files of the same columns
that are written in another way become a source of their own, and others are left out by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stagepipe.declare.guess import ColumnGuess, FileGuess, NotationGuess, common, decide
from stagepipe.declare.guessed import name_of
from stagepipe.errors import InputError
from stagepipe.model import InputFile, printable
from stagepipe.plan.files import members_of
from stagepipe.plan.grouping import Group, Identity, find, folder_group, folders_of, grouped
from stagepipe.plan.guessing import difference_of
from stagepipe.plan.sampling import (
    FileSample,
    TableSample,
    adapted,
    check_header,
    look_at,
    share_of,
    told_of,
)

FILES_OF_A_FOLDER = 20
"""At most so many files of a folder are looked at: the first, the last, and some between."""
FILES_IN_ALL = 400
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SourceGuess:
    """What a source looks like. `name` is None where the folders give it; `sampled` files were
    looked at, which `is_all` says were read whole. `doubts` are said of it."""

    name: str | None
    files: tuple[str, ...]
    file_count: int
    sampled: tuple[str, ...]
    dialect: FileGuess
    notation: NotationGuess
    columns: tuple[ColumnGuess, ...]
    records: int
    is_all: bool
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelineGuess:
    """The sources, the columns of all of them, and why files are left out, by path."""

    name: str
    sources: tuple[SourceGuess, ...]
    columns: tuple[ColumnGuess, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Looked:
    """A file, and what was read of it, or of each file in it where it is a zip."""

    file: InputFile
    samples: tuple[FileSample, ...]

    @property
    def key(self) -> Key:
        found = self.samples[0].guess
        return *self.table, found.encoding, found.marks, found.has_other_tables

    @property
    def table(self) -> Key:
        """What a file shows in any case of how it is written, the names of its columns first."""
        found = self.samples[0].guess
        names = tuple(name.strip(" \t") for name in found.names)
        names = names if found.is_by_position else tuple(sorted(names))
        return names, found.delimiter, found.quote, found.skip_lines, found.header_records


def guess_pipeline(words: Sequence[str], leave_out: Collection[Identity] = ()) -> PipelineGuess:
    """Look at files and folders. Raises InputError where there is nothing to be guessed."""
    files = find(words, leave_out)
    groups = grouped(files)
    at_most = max(FILES_IN_ALL // len(folders_of(files)), 1)
    guesser = _Guesser(min(at_most, FILES_OF_A_FOLDER), len(files))
    found = [source for group in groups for source in guesser.group(group)]
    if not found:
        raise guesser.errors[0]
    wanted = _most_common([_names(source) for source in found], [s.file_count for s in found])
    sources = tuple(source for source in found if _names(source) == wanted)
    first = sources[0].dialect
    for source in found:
        if source not in sources:
            text = difference_of(replace(source.dialect, delimiter=first.delimiter), first)
            guesser.left_out += [(path, str(text)) for path in source.files]
    name = groups[0].name if len(groups) == 1 else "files"
    return PipelineGuess(name, sources, _common(sources), tuple(guesser.left_out))


def _names(source: SourceGuess) -> tuple[str, ...]:
    return tuple(sorted(column.name for column in source.columns))


def _most_common(keys: Sequence[tuple[str, ...]], weights: Sequence[int]) -> tuple[str, ...]:
    votes: Counter[tuple[str, ...]] = Counter()
    for key, weight in zip(keys, weights, strict=True):
        votes[key] += weight
    return votes.most_common(1)[0][0]


class _Guesser:
    """Goes through groups of files and remembers what is left out and which names are taken."""

    def __init__(self, at_most: int, files: int) -> None:
        self._at_most = at_most
        self._share = share_of(min(files, FILES_IN_ALL))
        self._taken: set[str] = set()
        self.left_out: list[tuple[str, str]] = []
        self.errors: list[InputError] = []

    def group(self, group: Group) -> Iterator[SourceGuess]:
        """The sources that the files of a group are."""
        looked, bad = self._look(group)
        variants = _variants(looked)
        if group.captures and (bad or len(variants) > 1):
            for folder, files in folders_of(group.files).items():
                yield from self.group(folder_group(folder, files))
            return
        for path, error in bad:
            self.left_out.append((path, error.message))
            self.errors.append(error)
        if not variants:
            return
        most, *others = variants
        apart = {each.file.path for variant in others for each in variant}
        apart.update(path for path, _ in bad)
        rest = [file for file in group.files if file.path not in apart]
        yield self._source(_part(group, rest) if apart else group, most)
        for variant in others:
            if variant[0].table[0] == most[0].table[0]:
                files = [each.file for each in variant]
                yield self._source(_part(group, files), variant, _unlike(variant, most))
            else:
                text = difference_of(
                    replace(
                        variant[0].samples[0].guess,
                        delimiter=most[0].samples[0].guess.delimiter,
                    ),
                    most[0].samples[0].guess,
                )
                self.left_out += [(each.file.path, str(text)) for each in variant]

    def _look(self, group: Group) -> tuple[list[_Looked], list[tuple[str, InputError]]]:
        looked, bad = [], []
        for files in folders_of(group.files).values():
            for file in _spread(files, self._at_most):
                try:
                    looked.append(_looked(file, self._share))
                except InputError as error:
                    bad.append((file.path, error))
        return looked, bad

    def _source(
        self, group: Group, looked: Sequence[_Looked], doubts: Iterable[str] = ()
    ) -> SourceGuess:
        samples = [sample for each in looked for sample in each.samples]
        dialect, told = _with_footer(samples, is_all=len(looked) == len(group.files))
        table = _table(samples)
        notation, columns = decide(table.evidence)
        name = None if group.captures else self._name(group.name)
        return SourceGuess(
            name,
            group.globs,
            len(group.files),
            tuple(each.file.path for each in looked),
            dialect,
            notation,
            tuple(replace(column, name=column.name.strip(" \t")) for column in columns),
            table.records,
            table.is_all and len(looked) == len(group.files),
            (*doubts, *notation.doubts, *told, *told_of(samples)),
        )

    def _name(self, wanted: str) -> str:
        base = name_of(wanted, "files")
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name


def _part(group: Group, files: Sequence[InputFile]) -> Group:
    return Group(group.name, tuple(files), None)


def _spread(files: Sequence[InputFile], at_most: int) -> list[InputFile]:
    """The first, the last, and some between."""
    if len(files) <= at_most:
        return list(files)
    step = (len(files) - 1) / max(at_most - 1, 1)
    return [files[round(number * step)] for number in range(at_most)]


def _looked(file: InputFile, share: int) -> _Looked:
    samples = tuple(look_at(each, share) for each in members_of(Path(), file))
    found = _Looked(file, samples)
    for sample in samples:
        check_header(sample.file.path, sample.guess)
        if _Looked(file, (sample,)).key != found.key:
            raise InputError(f"the files in {printable(file.path)} are not written in one way")
    return found


def _with_footer(samples: Sequence[FileSample], *, is_all: bool) -> tuple[FileGuess, Iterator[str]]:
    """The dialect of a source, with a footer only where all of its files were looked at and have
    as long a one: else records could be left out in silence."""
    found = samples[0].guess
    counts = {sample.guess.footer_lines for sample in samples}
    if counts == {0} or (is_all and len(counts) == 1):
        return found, iter(())
    told = f"skip_footer = {max(counts)} may be right, but not all files were seen to have one"
    return replace(found, footer_lines=0), iter([told])


def _table(samples: Sequence[FileSample]) -> TableSample:
    table = TableSample(samples[0].guess.names)
    for sample in samples:
        table.add(sample)
    return table


def _variants(looked: Sequence[_Looked]) -> list[list[_Looked]]:
    """The files by how they are written and by their columns, the most first."""
    by_key: dict[Key, list[_Looked]] = {}
    for each in _agreed(looked):
        by_key.setdefault(each.key, []).append(each)
    found = [part for variant in by_key.values() for part in _by_signs(variant)]
    return sorted(found, key=len, reverse=True)


def _agreed(looked: Sequence[_Looked]) -> Iterator[_Looked]:
    """The files, each with what most of the others are beside it where it shows nothing of it
    itself, such as an encoding or comments."""
    by_table: dict[Key, Counter[FileGuess]] = {}
    for each in looked:
        found = each.samples[0].guess
        shown = FileGuess(
            found.delimiter,
            (),
            is_header_odd=False,
            escape=found.escape,
            comment=found.comment,
            encoding=found.encoding,
            has_other_tables=found.has_other_tables,
        )
        nothing = FileGuess(found.delimiter, (), is_header_odd=False)
        by_table.setdefault(each.table, Counter())[shown] += shown != nothing
    for each in looked:
        (most, times), *_ = by_table[each.table].most_common(1)
        if times:
            each = replace(each, samples=tuple(adapted(sample, most) for sample in each.samples))
        yield each


def _by_signs(looked: Sequence[_Looked]) -> list[list[_Looked]]:
    """The files by their decimal sign, where together they have columns of no number, but each for
    itself has none."""
    together = _decided(looked)
    if len(looked) == 1 or all(column.because is None for column in together[1]):
        return [list(looked)]
    parts: dict[tuple[bool, str | None], list[_Looked]] = {}
    undecided = []
    for each in looked:
        notation, columns = _decided([each])
        has_points = any(column.type.startswith(("decimal", "float")) for column in columns)
        if notation.decimal_comma or notation.thousands or has_points:
            parts.setdefault((notation.decimal_comma, notation.thousands), []).append(each)
        else:
            undecided.append(each)
    if len({comma for comma, _ in parts}) < 2:
        return [list(looked)]
    by_comma = [
        [each for signs, part in parts.items() if signs[0] == comma for each in part]
        for comma in (False, True)
    ]
    by_comma.sort(key=len, reverse=True)
    by_comma[0] += undecided
    return by_comma


def _decided(looked: Sequence[_Looked]) -> tuple[NotationGuess, tuple[ColumnGuess, ...]]:
    return decide(_table([sample for each in looked for sample in each.samples]).evidence)


def _unlike(variant: Sequence[_Looked], most: Sequence[_Looked]) -> Iterator[str]:
    """How files of the same columns differ from most of the folder."""
    mine, other = variant[0].samples[0].guess, most[0].samples[0].guess
    if mine.delimiter != other.delimiter:
        yield f"unlike most files here: fields are divided by {mine.delimiter!r}"
    if mine.quote != other.quote:
        yield f"unlike most files here: the quote is {mine.quote!r}"
    if mine.skip_lines != other.skip_lines:
        yield "unlike most files here: the header stands on another line"
    if mine.encoding != other.encoding:
        yield f"unlike most files here: the encoding is {mine.encoding}"
    if mine.header_records != other.header_records:
        yield "unlike most files here: the header has another number of lines, or there is none"
    if mine.has_other_tables != other.has_other_tables:
        what = "other tables follow" if mine.has_other_tables else "no other tables follow"
        yield f"unlike most files here: {what}"
    if (mine.escape, mine.comment) != (other.escape, other.comment):
        yield "unlike most files here: other escapes or comments"
    if _decided(variant)[0].decimal_comma != _decided(most)[0].decimal_comma:
        yield "unlike most files here: another decimal sign"


def _common(sources: Sequence[SourceGuess]) -> tuple[ColumnGuess, ...]:
    """The columns of one table: a type that all sources have, or else text."""
    if len(sources) == 1:
        return sources[0].columns
    by_source = [{column.name: column for column in source.columns} for source in sources]
    return tuple(
        common([columns[column.name] for columns in by_source]) for column in sources[0].columns
    )
