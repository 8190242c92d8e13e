"""Read the claims of a study file, refusing what the study does not have."""

from collections.abc import Sequence
from typing import Any

from calibench.lab.study.claim_spec import (
    CLAIM_CALIBRATORS,
    CLAIM_METRICS,
    OWN_NAMES,
    ClaimSpec,
)
from calibench.lab.study.table_reader import TableReader
from calibench.validation import suggestion


def claims(
    reader: TableReader,
    entries: Sequence[dict[str, Any]],
    *,
    losses: Sequence[str] | None,
    models: Sequence[str] | None,
) -> tuple[ClaimSpec, ...]:
    """Return the claims of `[[claim]]` tables, and note what is wrong with them.

    Args:
        reader: Collects the problems.
        entries: The tables.
        losses: The names of the study's losses; None where some are not known.
        models: Its models; None where they are not known.
    """
    found: list[ClaimSpec] = []
    for entry in entries:
        where = f"[[claim]] {entry.get('name', '')}".rstrip()
        claim = reader.built(where, ClaimSpec, entry)
        if claim is not None:
            _check(reader, claim, losses, models)
            _check_name(reader, claim.name, [each.name for each in found])
            found.append(claim)
    return tuple(found)


def _check(
    reader: TableReader,
    claim: ClaimSpec,
    losses: Sequence[str] | None,
    models: Sequence[str] | None,
) -> None:
    where = f"[[claim]] {claim.name}"
    menus = [
        ("metric", claim.metric, CLAIM_METRICS),
        ("calibrator", claim.calibrator, CLAIM_CALIBRATORS),
        ("loss", claim.lower, losses),
        ("loss", claim.than, losses),
        *(("model", model, models) for model in claim.models or ()),
    ]
    for what, word, menu in menus:
        if menu is not None and word not in menu:
            reader.add(where, f"unknown {what} {word!r}. {suggestion(word, menu)}")
    if claim.lower == claim.than:
        reader.add(where, f"`lower` and `than` are both {claim.lower!r}.")
    if claim.models is not None and not claim.models:
        reader.add(where, "models is empty. Name at least one, or leave it out.")
    if len(set(claim.models or ())) < len(claim.models or ()):
        reader.add(where, f"models names one twice: {list(claim.models or ())}.")


def _check_name(reader: TableReader, name: str, before: Sequence[str]) -> None:
    if not name.strip() or len(name) > 100 or not name.isprintable():
        reader.add("[[claim]]", f"{name!r} is no name: 1 to 100 printable characters.")
    elif name in OWN_NAMES:
        reader.add("[[claim]]", f"{name} is a claim that comes with calibench.")
    elif name in before:
        reader.add(f"[[claim]] {name}", "twice. Give each a `name` of its own.")
