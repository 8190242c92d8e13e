"""Archives in the official CIFAR form, with a few records."""

import io
import tarfile
from dataclasses import replace
from hashlib import sha256

import numpy as np

from calibench.lab.data.cifar_archives import CIFAR10, CIFAR100
from calibench.lab.data.download import RemoteFile

RECORDS = 10


def tiny(archive):
    """Return a small archive of the same form, its files, and their content."""
    generator = np.random.default_rng(7)
    contents = {}

    def remade(files):
        for file in files:
            rows = generator.integers(
                0, 256, (RECORDS, archive.record_bytes), dtype=np.uint8
            )
            rows[:, : archive.label_bytes] %= 10
            contents[file.name] = rows.tobytes()
        return tuple(
            replace(
                file,
                num_records=RECORDS,
                sha256=sha256(contents[file.name]).hexdigest(),
            )
            for file in files
        )

    made = replace(
        archive,
        train_files=remade(archive.train_files),
        test_files=remade(archive.test_files),
    )
    return made, contents


TINY10, CONTENTS10 = tiny(CIFAR10)
TINY100, CONTENTS100 = tiny(CIFAR100)


def tar_of(archive, contents, extra=(), mode="w:gz"):
    """Pack contents as the official archives are, then `extra` members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        folder = tarfile.TarInfo(archive.folder)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        named = {f"{archive.folder}/{name}": c for name, c in contents.items()}
        named[f"{archive.folder}/readme.html"] = b"<html></html>"
        for name, content in named.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return packed.getvalue()


def remote_of(content, urls, name="tiny.tar.gz"):
    return RemoteFile(
        name=name,
        size=len(content),
        sha256=sha256(content).hexdigest(),
        urls=tuple(urls),
    )
