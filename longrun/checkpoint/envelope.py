"""The envelope of a stored state: a line with format, version and checksum, and the codec's bytes behind it.

``longrun.checkpoint/1 5f0a3c11`` + newline + bytes. The checksum is CRC-32: it tells damage, not forgery.
"""

import re
from zlib import crc32

from longrun.checkpoint.errors import CheckpointCorrupt, CheckpointNewer

#: The version that this release writes, and the newest that it reads.
VERSION = 1

_LINE = re.compile(rb"longrun\.checkpoint/([1-9][0-9]{0,8}) ")
_CHECKSUM = re.compile(rb"([0-9a-f]{8})\n")
_REMEDY = "clear() the checkpoint to begin anew, or give this work a key or a store of its own"


def seal(payload: bytes) -> bytes:
    """*payload* in its envelope."""
    return b"longrun.checkpoint/%d %08x\n%b" % (VERSION, crc32(payload), payload)


def unseal(data: bytes, key: str) -> bytes:
    """The payload of the envelope *data*; CheckpointCorrupt and CheckpointNewer name *key*."""
    line = _LINE.match(data)
    if line is None:
        raise CheckpointCorrupt(
            f"checkpoint {key!r} holds {len(data)} bytes that are no checkpoint of longrun "
            f"(they begin with {data[:16]!r}); {_REMEDY}",
            key,
        )
    version = int(line[1])
    if version > VERSION:
        raise CheckpointNewer(
            f"checkpoint {key!r} has format {version}, but this release reads format {VERSION} only; "
            "start the newer release, or clear() the checkpoint to begin anew",
            key,
        )
    checksum = _CHECKSUM.match(data, line.end())
    payload = b"" if checksum is None else data[checksum.end() :]
    if checksum is None or int(checksum[1], 16) != crc32(payload):
        raise CheckpointCorrupt(f"checkpoint {key!r} is damaged: its checksum does not fit; {_REMEDY}", key)
    return payload


def undecodable(key: str, why: object) -> CheckpointCorrupt:
    """The payload is whole, but the codec does not understand it."""
    return CheckpointCorrupt(
        f"checkpoint {key!r} cannot be read back: {why}; load it with the codec that saved it, or {_REMEDY}", key
    )
