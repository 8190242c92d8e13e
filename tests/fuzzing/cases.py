"""The case of a number: the same file for the same seed, kind and number."""

from random import Random

from fuzzing import archives, csv_files, tables, tensors
from fuzzing.case import Case
from fuzzing.damage import damaged, flipped
from fuzzing.examples import drawn

VALID = {
    "csv": csv_files.valid,
    "npz": archives.valid_npz,
    "npy": archives.valid_npy,
    "safetensors": tensors.valid,
    "parquet": lambda some, rng: tables.valid(some, rng, "parquet"),
    "arrow": lambda some, rng: tables.valid(some, rng, "arrow"),
}
STRUCTURED = {
    "csv": csv_files.structured,
    "npz": archives.structured_npz,
    "npy": archives.structured_npy,
    "safetensors": tensors.structured,
    "parquet": lambda rng: tables.structured(rng, "parquet"),
    "arrow": lambda rng: tables.structured(rng, "arrow"),
}
KINDS = tuple(VALID)


def case_of(kind: str, number: int, seed: int = 0) -> Case:
    """One file: half of them known to be good or bad, half of them damaged bytes."""
    rng = Random(f"{seed} {kind} {number}")  # noqa: S311 - no secret is drawn
    if number % 2 == 0:
        return STRUCTURED[kind](rng)
    some = drawn(rng)
    files = VALID[kind](some, rng)
    name = rng.choice(list(files))
    if kind == "npz" and rng.random() < 0.2:
        # Every byte that matters is under a checksum.
        files[name] = flipped(bytearray(files[name]), b"", rng)
        return Case(files, "refused or same", "one flipped bit", some)
    other = rng.choice(
        list(VALID[rng.choice([kind, kind, *KINDS])](drawn(rng), rng).values())
    )
    files[name], change = damaged(files[name], other, rng)
    options = {}
    if rng.random() < 0.2:
        column = rng.choice(["note", "other", "label", "labels", "prob_1", some.kind])
        options = {rng.choice(["by", "weights"]): column}
    return Case(files, "any", change, some, options)
