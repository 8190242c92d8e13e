import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.errors import DataError
from calibench.lab.data.cifar_archives import CIFAR10, CIFAR100
from calibench.lab.data.cifar_records import (
    arrays_from_records,
    records_from_folder,
    records_from_tar,
)
from tiny_cifar import CONTENTS10, CONTENTS100, RECORDS, TINY10, TINY100, tar_of

FIRST = f"{TINY10.folder}/data_batch_1.bin"


@pytest.fixture
def written(tmp_path):
    def write(content, name="some.tar.gz"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def special(name, kind, link=""):
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    return member


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_gives_its_record_files(written, mode):
    path = written(tar_of(TINY10, CONTENTS10, mode=mode))
    assert records_from_tar(path, TINY10) == CONTENTS10


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_a_folder_gives_its_record_files(tmp_path, inside):
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    for name, content in CONTENTS10.items():
        (folder / name).write_bytes(content)
    (folder / "readme.html").write_text("not wanted")
    assert records_from_folder(tmp_path, TINY10) == CONTENTS10


def test_a_record_is_a_label_and_three_planes(tmp_path):
    arrays = arrays_from_records(tmp_path, CONTENTS10, TINY10)
    record = CONTENTS10["data_batch_2.bin"][3073 * 4 : 3073 * 5]
    at = RECORDS + 4
    assert arrays["train_labels"][at] == record[0]
    # Green, row 1, column 2 follows 1,024 red bytes and one row.
    assert arrays["train_images"][at, 1, 1, 2] == record[1 + 1024 + 32 + 2]
    assert arrays["train_images"].shape == (5 * RECORDS, 3, 32, 32)
    assert arrays["test_images"].tobytes() == b"".join(
        CONTENTS10["test_batch.bin"][3073 * i + 1 : 3073 * (i + 1)]
        for i in range(RECORDS)
    )


def test_the_label_of_cifar100_is_the_fine_one(tmp_path):
    arrays = arrays_from_records(tmp_path, CONTENTS100, TINY100)
    rows = np.frombuffer(CONTENTS100["test.bin"], np.uint8).reshape(RECORDS, 3074)
    assert np.array_equal(arrays["test_labels"], rows[:, 1])
    assert not np.array_equal(arrays["test_labels"], rows[:, 0])
    assert np.array_equal(arrays["test_images"].reshape(RECORDS, -1), rows[:, 2:])


def test_the_official_archives_have_their_published_form():
    for archive, size in ((CIFAR10, 3073), (CIFAR100, 3074)):
        assert archive.record_bytes == size
        assert sum(file.num_records for file in archive.train_files) == 50_000
        assert sum(file.num_records for file in archive.test_files) == 10_000
    assert CIFAR10.remote.size == 170_052_171
    names = CIFAR100.class_names
    assert len(names) == 100
    # The labels of CIFAR-100 are the alphabetical order of the names.
    assert list(names) == sorted(set(names))


def test_a_byte_changed_is_noticed(tmp_path):
    content = bytearray(CONTENTS10["data_batch_3.bin"])
    content[1234] ^= 1
    records = {**CONTENTS10, "data_batch_3.bin": bytes(content)}
    with pytest.raises(DataError, match=r"data_batch_3\.bin is not the official file"):
        arrays_from_records(tmp_path, records, TINY10)


@pytest.mark.parametrize(
    "member",
    [
        special("../evil", tarfile.REGTYPE),
        special(f"{TINY10.folder}/../../evil", tarfile.REGTYPE),
        special("/etc/evil", tarfile.REGTYPE),
        special(f"{TINY10.folder}/link", tarfile.SYMTYPE, "/etc/passwd"),
        special(f"{TINY10.folder}/link", tarfile.LNKTYPE, FIRST),
        special(f"{TINY10.folder}/device", tarfile.CHRTYPE),
        special(f"{TINY10.folder}/device", tarfile.BLKTYPE),
        special(f"{TINY10.folder}/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_hostile_member_condemns_the_archive(written, tmp_path, member, mode):
    path = written(tar_of(TINY10, CONTENTS10, extra=[member], mode=mode))
    with pytest.raises(DataError, match="refused"):
        records_from_tar(path, TINY10)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_place_of_a_record_file_is_refused(written):
    others = {n: c for n, c in CONTENTS10.items() if n != "data_batch_1.bin"}
    link = special(FIRST, tarfile.SYMTYPE, "/etc/passwd")
    with pytest.raises(DataError, match="neither a plain file nor a folder"):
        records_from_tar(written(tar_of(TINY10, others, extra=[link])), TINY10)


def test_a_folder_by_the_name_of_a_record_file_is_refused(written):
    others = {n: c for n, c in CONTENTS10.items() if n != "data_batch_1.bin"}
    folder = special(FIRST, tarfile.DIRTYPE)
    with pytest.raises(DataError, match=r"data_batch_1\.bin"):
        records_from_tar(written(tar_of(TINY10, others, extra=[folder])), TINY10)


def test_the_same_record_file_twice_is_refused(written):
    again = tarfile.TarInfo(FIRST)
    again.size = len(CONTENTS10["data_batch_1.bin"])
    with pytest.raises(DataError, match="twice"):
        records_from_tar(written(tar_of(TINY10, CONTENTS10, extra=[again])), TINY10)


def test_a_bomb_is_refused_before_it_goes_off(written):
    bomb = tarfile.TarInfo("zeros")
    bomb.size = 5_000_000
    with pytest.raises(DataError, match="unpacks to more"):
        records_from_tar(written(tar_of(TINY10, CONTENTS10, extra=[bomb])), TINY10)


def test_a_bomb_in_a_header_is_refused_before_it_goes_off(written):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("x")
        member.pax_headers = {"comment": "0" * 8_000_000}
        tar.addfile(member)
    with pytest.raises(DataError, match="unpacks to more"):
        records_from_tar(written(packed.getvalue()), TINY10)


def test_more_members_than_the_archive_has_are_refused(written):
    crowd = [tarfile.TarInfo(f"file{i}") for i in range(200)]
    with pytest.raises(DataError, match="more than 100 members"):
        records_from_tar(written(tar_of(TINY10, CONTENTS10, extra=crowd)), TINY10)


@pytest.mark.parametrize("change", [-1, 1, -3073, 3073])
def test_a_record_file_of_the_wrong_size_is_refused(written, tmp_path, change):
    content = CONTENTS10["test_batch.bin"]
    content = content[:change] if change < 0 else content + b"\0" * change
    contents = {**CONTENTS10, "test_batch.bin": content}
    with pytest.raises(DataError, match=r"30,730, which is 10 records of 3,073"):
        records_from_tar(written(tar_of(TINY10, contents)), TINY10)
    for name, each in contents.items():
        (tmp_path / name).write_bytes(each)
    with pytest.raises(DataError, match=r"30,730, which is 10 records of 3,073"):
        records_from_folder(tmp_path, TINY10)


def test_a_missing_record_file_is_named(written, tmp_path):
    contents = {n: c for n, c in CONTENTS10.items() if n != "data_batch_4.bin"}
    with pytest.raises(DataError, match=r"no data_batch_4\.bin.*data fetch cifar10"):
        records_from_tar(written(tar_of(TINY10, contents)), TINY10)
    with pytest.raises(DataError, match=r"no data_batch_1\.bin, data_batch_2\.bin"):
        records_from_folder(tmp_path, TINY10)


def test_the_other_archive_is_refused(written):
    with pytest.raises(DataError, match=r"no train\.bin, test\.bin"):
        records_from_tar(written(tar_of(TINY10, CONTENTS10)), TINY100)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"<html>no such page</html>"])
def test_what_is_no_archive_is_refused(written, content):
    with pytest.raises(DataError, match="not a complete"):
        records_from_tar(written(content), TINY10)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_cut_archive_is_refused(written, kept, mode):
    # One without padding, so that the last bytes of it matter.
    content = tar_of(TINY10, CONTENTS10, mode=mode).rstrip(b"\0")
    with pytest.raises(DataError):
        records_from_tar(written(content[: int(len(content) * kept)]), TINY10)


SMALL = replace(
    TINY10, train_files=TINY10.train_files[:1], test_files=TINY10.test_files
)
SMALL_TAR = tar_of(
    SMALL, {f.name: CONTENTS10[f.name] for f in SMALL.train_files + SMALL.test_files}
)
SMALL_PLAIN = tar_of(
    SMALL,
    {f.name: CONTENTS10[f.name] for f in SMALL.train_files + SMALL.test_files},
    mode="w",
)


@given(
    data=st.data(),
    packed=st.sampled_from([SMALL_TAR, SMALL_PLAIN]),
)
def test_whatever_is_damaged_the_content_is_right_or_refused(
    tmp_path_factory, data, packed
):
    content = bytearray(packed)
    # Headers are where damage does most; the first lies at the beginning.
    at = data.draw(st.integers(0, 1023) | st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "some.tar.gz"
    path.write_bytes(content)
    try:
        arrays = arrays_from_records(path, records_from_tar(path, SMALL), SMALL)
    except DataError:
        return
    expected = arrays_from_records(path, CONTENTS10, SMALL)
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
