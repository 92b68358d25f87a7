"""Columns of many rows as arrays in PostgreSQL's binary form, each of one fixed type.

psycopg's own lists take the type of their elements, and another type is another prepared statement.
"""

import struct
from collections.abc import Iterable
from typing import ClassVar

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format


class Texts(list[str]):
    """A `text[]`."""


class Numbers(list[int]):
    """A `bigint[]`."""


class Blobs(list[bytes]):
    """A `bytea[]`."""


class _ArrayDumper(Dumper):
    format = Format.BINARY
    element_oid: ClassVar[int]

    def _packed(self, elements: Iterable[bytes], count: int) -> bytes:
        if count == 0:
            return struct.pack("!iiI", 0, 0, self.element_oid)
        parts = [struct.pack("!iiIii", 1, 0, self.element_oid, count, 1)]
        for element in elements:
            parts += (len(element).to_bytes(4, "big"), element)
        return b"".join(parts)


class _TextsDumper(_ArrayDumper):
    element_oid, oid = 25, 1009

    def dump(self, obj: Texts) -> bytes:
        return self._packed((text.encode() for text in obj), len(obj))


class _NumbersDumper(_ArrayDumper):
    element_oid, oid = 20, 1016

    def dump(self, obj: Numbers) -> bytes:
        return self._packed((number.to_bytes(8, "big", signed=True) for number in obj), len(obj))


class _BlobsDumper(_ArrayDumper):
    element_oid, oid = 17, 1001

    def dump(self, obj: Blobs) -> bytes:
        return self._packed(obj, len(obj))


# Only these types are registered, so other users of psycopg in this process are not affected.
psycopg.adapters.register_dumper(Texts, _TextsDumper)
psycopg.adapters.register_dumper(Numbers, _NumbersDumper)
psycopg.adapters.register_dumper(Blobs, _BlobsDumper)
