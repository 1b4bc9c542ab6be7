"""Stub until verification is merged."""

from typing import Any

from gradgen.verify.verdict import Verdict


def verify_arrays(*a: Any, **k: Any) -> Verdict:
    return Verdict(0, 0, 0, (), (), ())
