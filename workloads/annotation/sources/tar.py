"""Tar files of images, as WebDataset lays them out: read where they are, not unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.base import Source
from workloads.annotation.sources.several import several_files
from workloads.datasets.image_files import SUFFIXES
from workloads.errors import InputRejected
from workloads.images.decode import ImageLimits, check_bytes
from workloads.storage.storage import storage_of

ENDINGS = (*SUFFIXES, ".avif")


class TarFiles(Source):
    """The images in tar files: `train-000.tar`, or `train-{000..063}.tar` for many.

    Members that are no images by their names (labels, captions) are not listed.
    """

    kind = "tar"
    summary = "tar files as WebDataset's: x.tar, x-*.tar, or x-{000..063}.tar"

    @classmethod
    def takes(cls, path: Path) -> bool:
        return path.name.endswith(".tar")

    @property
    def root(self) -> Path:
        return self.path.parent

    def files(self) -> Iterator[ListedFile]:
        tars = several_files(self.path, "tar file")
        return (file for tar in tars for file in self._members(tar))

    def _members(self, tar: Path) -> Iterator[ListedFile]:
        storage = storage_of(tar)
        changed, count = storage.changed_ns(tar), 0
        with storage.open_random(tar) as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r:") as members:
                    for member in members:
                        count += 1
                        if member.isfile() and member.name.lower().endswith(ENDINGS):
                            yield self._file(tar, member, changed)
                    stream.seek(members.offset)
                if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("it has no end")
            except (tarfile.TarError, EOFError, ValueError) as error:
                reason = f"damaged behind its first {count} members ({error}); get it again"
                yield ListedFile(tar.name, 0, changed, reason, place=tar.name)

    def _file(self, tar: Path, member: tarfile.TarInfo, changed: int) -> ListedFile:
        name = f"{tar.name}/{PurePosixPath(member.name)}"
        try:
            name.encode()
        except UnicodeEncodeError:
            name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return ListedFile(name, member.size, changed, place=tar.name, offset=member.offset_data)

    def read(self, file: ListedFile, limits: ImageLimits) -> bytes:
        check_bytes(file.num_bytes, limits)
        path = self.root / (file.place or "")
        try:
            with storage_of(path).open_random(path) as stream:
                stream.seek(file.offset)
                data = bytes(stream.read(file.num_bytes))
        except FileNotFoundError:
            raise InputRejected("its tar file was removed after it was listed") from None
        if len(data) < file.num_bytes:
            raise InputRejected("its tar file ends before it does; get the tar file again")
        return data
