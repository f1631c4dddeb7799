"""Parsing of YAML documents with lines and duplicate keys."""

from __future__ import annotations

import pytest

from scaler.policy.yaml_documents import documents


def read(written: str) -> object:
    (document,) = documents(written.encode())
    return document.data


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        pytest.param("2026-11-27T09:00:00+02:00", "2026-11-27T09:00:00+02:00", id="a moment"),
        pytest.param("2026-11-27", "2026-11-27", id="a day"),
        pytest.param("1:30", "1:30", id="YAML 1.1 reads 90"),
        pytest.param("010", "010", id="YAML 1.1 reads 8"),
        pytest.param("1e3", 1000.0, id="YAML 1.1 reads text"),
        pytest.param("-12", -12, id="an integer"),
        pytest.param("0.5", 0.5, id="a real"),
        pytest.param("~", None, id="null"),
        pytest.param("yes", True, id="a switch, as Kubernetes reads it"),
        pytest.param("90s", "90s", id="a length of time"),
    ],
)
def test_plain_scalars_are_read_without_surprising_conversions(scalar, expected):
    assert read(f"a: {scalar}") == {"a": expected}


def test_every_key_and_entry_has_its_line():
    (document,) = documents(b"a:\n  b: 1\n  c:\n    - 5\n    - {d: 6}\n")

    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
    }


def test_empty_documents_are_skipped():
    found = list(documents(b"# a licence\n---\na: 1\n---\n---\nb: 2\n"))

    assert [document.data for document in found] == [{"a": 1}, {"b": 2}]
    assert found[1].lines[("b",)] == 6


def test_duplicate_keys_are_found_at_any_depth():
    (document,) = documents(b"a: {b: 1, b: 2}\nc: 3\nc: 4\n")

    assert document.duplicates == ((("a", "b"), 1, 1), (("c",), 2, 3))


def test_a_merge_key_may_be_overridden_and_is_no_duplicate():
    (document,) = documents(b"a: &a {b: 1, c: 1}\nd: {<<: *a, b: 2}\n")

    assert document.duplicates == ()
    assert document.data == {"a": {"b": 1, "c": 1}, "d": {"b": 2, "c": 1}}


def test_references_to_references_cost_no_more_than_they_are_long():
    levels = "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefghijklmn", "bcdefghijklmno", strict=True)
    )
    (document,) = documents(f"a: &a [x]\n{levels}".encode())  # 9 ** 14 entries, if unfolded

    assert len(document.lines) < 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"a:\n\t- b", r"line 2, column 1: found character '\\t'", id="a tab"),
        pytest.param(b"a: [1", "line 1, column 6: expected ',' or ']'", id="an open bracket"),
        pytest.param(b"a: \xe9", "unacceptable character", id="not UTF-8"),
        pytest.param(b"[" * 20_000, "nested too deeply", id="thousands of brackets"),
        pytest.param(b"!!python/object/apply:os.getpid []", "could not determine", id="code"),
        pytest.param(b"? [a]\n: b", "unhashable key", id="a list as a key"),
        pytest.param(b"a: " + b"9" * 5000, "4300 digits", id="an endless number"),
    ],
)
def test_invalid_yaml_is_refused_with_place_and_reason(content, words):
    with pytest.raises(ValueError, match=words):
        list(documents(content))
