"""PNG files without what says nothing about their pixels.

Image generators write megabytes of text beside the pixels, editors large colour profiles; Pillow
refuses a file for either. Orientation may stand in a text of Adobe's, which stays.
"""

from __future__ import annotations

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_REMARKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_KEPT = b"XML:com.adobe.xmp\0"
_AROUND = 12  # bytes of a chunk beside its data: length, kind, check sum


def drop_remarks(data: bytes) -> bytes:
    """A PNG file without its texts and colour profile; any other file as it is.

    What is not whole (the file may be damaged) is kept as it is.
    """
    if not data.startswith(_SIGNATURE) or not any(kind in data for kind in _REMARKS):
        return data
    kept, at = [_SIGNATURE], len(_SIGNATURE)
    while at + _AROUND <= len(data):
        end = at + _AROUND + int.from_bytes(data[at : at + 4], "big")
        kind, is_xmp = data[at + 4 : at + 8], data.startswith(_KEPT, at + 8)
        if end > len(data):
            break
        if kind not in _REMARKS or is_xmp:
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))
