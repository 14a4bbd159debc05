"""The short way past ``packaging`` says nothing that ``packaging`` would not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement

from tpumlir_core.plugins.requirements import plainly_met

RELEASES = st.lists(st.sampled_from(["0", "1", "2", "10", "01"]), min_size=1, max_size=4).map(".".join)
VERSIONS = RELEASES | st.sampled_from(["1.0rc1", "1!1.0", "1.0.post1", "1.0+local", "2.dev0", "no version"])
SIGNS = st.sampled_from([">=", "<=", "==", "!=", ">", "<", "~=", "===", "=", "=>"])
CLAUSES = st.lists(st.tuples(SIGNS, st.sampled_from(["", " "]), RELEASES | st.just("1.*")).map("".join), max_size=3)
MARKERS = st.sampled_from(
    ["", "", "", "; extra == 'dev'", '; extra=="x"', "; python_version < '3'", "; extra == 'x' or os_name == 'posix'", ";"]
)


def met(line: str, version: str) -> bool:
    """What ``packaging`` says of a line that needs one distribution, of which a version is installed."""
    try:
        needed = Requirement(line)
    except InvalidRequirement:
        return False
    if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
        return True
    return needed.specifier.contains(version, prereleases=True)


@given(CLAUSES, st.sampled_from([",", " , ", " "]), st.sampled_from(["{}", "({})", " ({}", "[more]{}"]), MARKERS, VERSIONS)
def test_never_met_where_packaging_says_otherwise(clauses: list[str], comma: str, around: str, marker: str, version: str) -> None:
    line = f"acme-x{around.format(comma.join(clauses))}{marker}"
    if plainly_met(line, lambda name: {"acme-x": version}.get(name)):
        assert met(line, version), line


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("acme-x", True),
        ("Acme_X>=1.2,<2", True),
        ("acme-x (>=1.2.0, !=1.3)", True),
        ("acme-x>1.2", False),
        ("other-x", False),
        ("other-x; extra == 'dev'", True),
        ("acme-x~=1.2", False),  # as packaging says, but not plain
    ],
)
def test_plain_lines_are_answered(line: str, answer: bool) -> None:
    assert plainly_met(line, lambda name: {"acme-x": "1.2"}.get(name)) is answer
