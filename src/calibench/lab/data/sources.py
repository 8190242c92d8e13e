"""The menu of data sets: one frozen description for each kind a study may name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibench.lab.data.arrays import load_arrays
from calibench.lab.data.cifar import load_cifar
from calibench.lab.data.cifar_archives import CIFAR10, CIFAR100, CifarArchive
from calibench.lab.data.dataset import Dataset
from calibench.lab.data.gratings import DIFFICULTY, check_gratings, gratings
from calibench.lab.data.image_folder import load_images


@dataclass(frozen=True, kw_only=True)
class DatasetShape:
    """What a study's cost depends on.

    Attributes:
        num_train: What train, selection and calibration are drawn from.
        image_shape: Channels, height and width.
    """

    num_classes: int
    num_train: int
    image_shape: tuple[int, int, int]

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetShape":
        """Return the shape of a data set in memory."""
        _, channels, height, width = dataset.train.images.shape
        return cls(
            num_classes=dataset.num_classes,
            num_train=dataset.train.size,
            image_shape=(channels, height, width),
        )


@dataclass(frozen=True, kw_only=True)
class Gratings:
    """Embedded images with known posterior; see `gratings` for the parameters.

    Raises:
        ParameterError: A parameter is out of its range.
    """

    kind: Literal["gratings"] = "gratings"
    num_train: int = 4000
    num_test: int = 4000
    image_size: int = 16
    num_classes: int = 10
    difficulty: float = DIFFICULTY
    seed: int = 0

    def __post_init__(self) -> None:
        check_gratings(
            self.num_train,
            self.num_test,
            self.image_size,
            self.num_classes,
            self.difficulty,
        )

    def shape(self, data_dir: Path) -> DatasetShape:  # noqa: ARG002 (known without)
        return DatasetShape(
            num_classes=self.num_classes,
            num_train=self.num_train,
            image_shape=(3, self.image_size, self.image_size),
        )

    def load(self, data_dir: Path) -> Dataset:  # noqa: ARG002 (nothing is stored)
        return gratings(
            self.num_train,
            self.num_test,
            self.image_size,
            self.num_classes,
            self.difficulty,
            self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Cifar10:
    """CIFAR-10: 50,000 train and 10,000 test photographs of 10 kinds of things.

    Attributes:
        image_size: 32; or 16, the means of 2x2 pixels, for small machines.

    Source:
        A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.
    """

    kind: Literal["cifar10"] = "cifar10"
    image_size: Literal[16, 32] = 32

    def shape(self, data_dir: Path) -> DatasetShape:  # noqa: ARG002 (known without)
        return _cifar_shape(CIFAR10, self.image_size)

    def load(self, data_dir: Path) -> Dataset:
        return load_cifar(CIFAR10, data_dir, self.image_size)


@dataclass(frozen=True, kw_only=True)
class Cifar100:
    """CIFAR-100 with its 100 fine classes; otherwise as CIFAR-10.

    Attributes:
        image_size: 32; or 16, the means of 2x2 pixels, for small machines.

    Source:
        A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.
    """

    kind: Literal["cifar100"] = "cifar100"
    image_size: Literal[16, 32] = 32

    def shape(self, data_dir: Path) -> DatasetShape:  # noqa: ARG002 (known without)
        return _cifar_shape(CIFAR100, self.image_size)

    def load(self, data_dir: Path) -> Dataset:
        return load_cifar(CIFAR100, data_dir, self.image_size)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """A user's own images in an .npz file; see `load_arrays`.

    Attributes:
        path: Of the file; relative to the folder calibench is started in.
        flip_preserves_label: Whether a mirrored image keeps its label.
    """

    kind: Literal["arrays"] = "arrays"
    path: str
    flip_preserves_label: bool = True

    def shape(self, data_dir: Path) -> DatasetShape:
        return DatasetShape.of(self.load(data_dir))

    def load(self, data_dir: Path) -> Dataset:  # noqa: ARG002 (the path says where)
        return load_arrays(
            Path(self.path), flip_preserves_label=self.flip_preserves_label
        )


@dataclass(frozen=True, kw_only=True)
class Images:
    """A user's own image files, one folder for each class; see `load_images`.

    Attributes:
        path: Of the folder or zip archive; relative to the folder calibench is
            started in.
        flip_preserves_label: Whether a mirrored image keeps its label.
    """

    kind: Literal["images"] = "images"
    path: str
    flip_preserves_label: bool = True

    def shape(self, data_dir: Path) -> DatasetShape:
        return DatasetShape.of(self.load(data_dir))

    def load(self, data_dir: Path) -> Dataset:  # noqa: ARG002 (the path says where)
        return load_images(
            Path(self.path), flip_preserves_label=self.flip_preserves_label
        )


def _cifar_shape(archive: CifarArchive, image_size: int) -> DatasetShape:
    return DatasetShape(
        num_classes=len(archive.class_names),
        num_train=50_000,
        image_shape=(3, image_size, image_size),
    )


DATASETS: dict[str, type[Gratings | Cifar10 | Cifar100 | Arrays | Images]] = {
    "gratings": Gratings,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "arrays": Arrays,
    "images": Images,
}
