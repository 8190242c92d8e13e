"""One byte sequence for each value, so that equal content has equal hashes."""

import json
from hashlib import sha256
from typing import Any


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return JSON with sorted keys and no spaces; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of a value's canonical JSON."""
    return sha256(canonical_json(value).encode()).hexdigest()
