"""The lines of the token file: what each lets through, and what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.http.grants import EVERYTHING, AccessGrant, AccessRole, read_grants
from scaler.adapters.http.problems import RequestProblem
from scaler.errors import ServingError

GATEWAY, READ, METRICS = AccessRole.GATEWAY, AccessRole.READ, AccessRole.METRICS
SECRET = b"s3cret"
DIGEST = "sha256-1ec1c26b50d5"  # of the secret


def roles(*found: AccessRole) -> frozenset[AccessRole]:
    return frozenset(found)


def granted(line: str) -> AccessGrant | None:
    return read_grants(line, "tokens").of_token(SECRET)


@pytest.mark.parametrize(
    ("line", "grant"),
    [
        pytest.param("s3cret", EVERYTHING, id="a token alone may do everything"),
        pytest.param("  s3cret  ", EVERYTHING, id="spaces around it do not matter"),
        pytest.param("# s3cret", None, id="a comment is no token"),
        pytest.param(
            "s3cret role=metrics", AccessGrant(DIGEST, roles(METRICS), None, 1000), id="one role"
        ),
        pytest.param(
            "s3cret role=gateway,read namespaces=shop,pay",
            AccessGrant(DIGEST, roles(GATEWAY, READ), frozenset({"shop", "pay"}), 1000),
            id="several roles and namespaces",
        ),
        pytest.param(
            "s3cret\trole=read namespaces=*",
            AccessGrant(DIGEST, roles(READ), None, 1000),
            id="all namespaces, spelt out",
        ),
        pytest.param(
            "s3cret role=gateway name=shop-gw instances=12",
            AccessGrant("shop-gw", roles(GATEWAY), None, 12),
            id="a name of its own, and few gateways",
        ),
        pytest.param(
            "s3cret name=ops", AccessGrant("ops", frozenset(AccessRole), None, 1000), id="no role"
        ),
    ],
)
def test_a_line_grants_what_it_says(line, grant):
    assert granted(line) == grant


def test_lines_that_name_no_role_are_known_by_their_numbers():
    assert read_grants("# old\ns3cret\n\nx role=read\ny name=z\n", "tokens").open_lines == (2, 5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("s3cret rol=read", r"word 2 must be one of .*mean role=\?", id="a typo"),
        pytest.param("s3cret gateway", "word 2 must be one of", id="no key"),
        pytest.param("s3cret role=read # ops", "word 3 must be one of", id="a comment behind it"),
        pytest.param("s3cret role=admin", "role= has 'admin', but must be of gateway", id="role"),
        pytest.param("s3cret role=", "role= has ''", id="an empty role"),
        pytest.param("s3cret role=read role=read", "role= is given twice", id="twice"),
        pytest.param("role=read", "begins with role=, but must begin with the token", id="none"),
        pytest.param("s3cret namespaces=shop", "namespaces= needs role=", id="no role for them"),
        pytest.param("s3cret role=read namespaces=Shop", "namespaces= has 'Shop'", id="no label"),
        pytest.param("s3cret role=read namespaces=a,*", "has '\\*'", id="a star among others"),
        pytest.param("s3cret role=metrics namespaces=a", "all namespaces", id="metrics of some"),
        pytest.param("s3cret role=gateway name=a/b", "name= must be", id="a name with a slash"),
        pytest.param("s3cret role=read instances=3", "needs role=gateway", id="no gateway"),
        pytest.param("s3cret role=gateway instances=0", "instances= is '0'", id="no instance"),
        pytest.param("s3cret role=gateway instances=1e3", "whole number", id="no whole number"),
        pytest.param("s3cret role=read\ns3cret role=gateway", "line 2: a line above", id="both"),
        pytest.param("cert:gw role=gateway", "without --client-ca", id="no certificate to be had"),
    ],
)
def test_a_wrong_line_is_told_by_its_number_and_no_token_is_shown(line, message):
    with pytest.raises(ServingError, match=message) as error:
        read_grants(line, "tokens")
    assert str(error.value).startswith("tokens, line ")
    assert "s3cret" not in str(error.value)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=6)


@given(st.lists(WORDS.map(lambda word: f"<{word}>"), min_size=1, max_size=4))
def test_no_word_of_a_passphrase_is_ever_shown(words):
    """The keys aside, which everybody knows: a token may have held spaces once."""
    if len(words) == 1:
        assert read_grants(words[0], "tokens").open_lines == (1,)
        return
    with pytest.raises(ServingError) as error:
        read_grants(" ".join(words), "tokens")
    assert not any(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("names", "owner"),
    [
        pytest.param(("gw.shop",), "cert:gw.shop", id="its only name"),
        pytest.param(("else", "spiffe://prod/gw"), "mesh", id="one of several"),
        pytest.param(("spiffe://prod/gw", "gw.shop"), "cert:gw.shop", id="the first line of two"),
        pytest.param(("else",), None, id="no line names it"),
        pytest.param((), None, id="a certificate without a name"),
    ],
)
def test_a_certificate_is_found_by_any_of_its_names(names, owner):
    lines = "cert:gw.shop role=gateway\ncert:spiffe://prod/gw role=read name=mesh\n"
    grant = read_grants(lines, "tokens", peers_verified=True).of_certificate(names)
    assert (grant and grant.owner) == owner


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("cert: role=gateway", "needs the name", id="no name"),
        pytest.param("cert:gw", "cert:gw needs role=", id="no role: there is no older format"),
    ],
)
def test_a_wrong_line_of_a_certificate_is_told(line, message):
    with pytest.raises(ServingError, match=message):
        read_grants(line, "tokens", peers_verified=True)


def test_what_is_refused_says_what_may_be_asked_and_what_was():
    grant = AccessGrant("shop-gw", roles(GATEWAY, READ), frozenset({"shop"}), 5)
    with pytest.raises(RequestProblem) as role:
        grant.check_role(METRICS)
    with pytest.raises(RequestProblem) as namespace:
        grant.check_service("pay/api")
    may = {"roles": ["gateway", "read"], "namespaces": ["shop"]}
    assert (role.value.status, namespace.value.status) == (403, 403)
    assert role.value.body == {
        "detail": "this needs role=metrics; shop-gw has role=gateway,read namespaces=shop",
        "may": may,
        "asked": {"roles": ["metrics"]},
        "reason": "role",
    }
    assert namespace.value.body == {
        "detail": "this needs namespace 'pay'; shop-gw has role=gateway,read namespaces=shop",
        "may": may,
        "asked": {"namespace": "pay"},
        "reason": "namespace",
    }


def test_what_is_no_service_is_in_no_namespace():
    grant = AccessGrant("shop-gw", roles(GATEWAY), frozenset({"shop"}))
    assert not grant.reaches("")
    assert not grant.reaches("shopping/cart")
    grant.check_services(["", "shop/cart"])  # a question without a service is about no limit
