# MIT License (see LICENSE)
"""Texts of an application's source, in the encodings that people save them in."""

from __future__ import annotations

import codecs
import re
import typing as t

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
COMMENT = re.compile(r"(^|\s)#.*$")


class UnreadableError(Exception):
    """A file that is no text; the message says why."""


def read_text(path: str) -> str:
    """Text of a file in UTF-8, or in the encoding that its byte order mark names."""
    with open(path, "rb") as stream:
        content = stream.read()
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError("is not UTF-8 (byte 0x%02x in line %d)" % (content[error.start], line)) from error
    if "\0" in text:
        raise UnreadableError("is no text, or UTF-16 without a byte order mark")
    return text


def logical_lines(text: str) -> t.Iterator[str]:
    """Lines with their continuations, without comments, blanks and empty ones."""
    pending = ""
    for line in text.splitlines():
        if line.endswith("\\") and not COMMENT.match(line):
            pending += line[:-1]
            continue
        line = COMMENT.sub("", pending + line).strip()
        pending = ""
        if line:
            yield line
    if pending := COMMENT.sub("", pending).strip():
        yield pending
