"""Which code page bytes that are no UTF-8 are likely to be of."""

from __future__ import annotations

import re

SINGLE = ("cp1252", "cp850", "cp1250", "cp1251")
LETTERS = {
    "cp1252": "äöüßÄÖÜéèêëàâçîïôùûñáíóúãõåæøœÉÈÀÇÑÁÅØÆ€„“”§°",
    "cp850": "äöüßÄÖÜéèêëàâçîïôùûñáíóúãõåæøÉÇÑÅØÆ§°",
    "cp1250": "ąćęłńóśźżáčďéěíňřšťúůýžőűăâîșțĄĆĘŁŃŚŹŻČŘŠŽäöüß",
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯ",
}


def likely_encoding(text: str) -> str:
    """The code page by which the bytes that stand as surrogates in a text become letters; those of
    western Europe where several do."""
    runs = re.findall("[\udc80-\udcff]+[\x40-\x7e]?", text[: 2**20])
    data = b" ".join(run.encode("utf-8", "surrogateescape") for run in runs)
    if _is_japanese(data):
        return "shift_jis"
    return max(SINGLE, key=lambda name: _letters(data, name))


def _letters(data: bytes, name: str) -> int:
    text = data.decode(name, "replace")
    return sum(text.count(letter) for letter in LETTERS[name])


def _is_japanese(data: bytes) -> bool:
    try:
        text = data.decode("shift_jis")
    except UnicodeDecodeError:
        return False
    found = re.findall("[\u3040-\u30ff\u4e00-\u9fff]", text)
    others = re.findall("[^\x00-\x7f\u3040-\u30ff\u4e00-\u9fff]", text)
    return len(found) > 3 * len(others)
