"""Who may do what: the lines of the token file, read as grants.

    TOKEN [role=gateway|read|metrics] [namespaces=a,b|*] [name=NAME] [instances=N]
    cert:NAME role=gateway ...

A role is what may be asked for: ``metrics`` the metrics of this process, ``read`` the page's data,
forecasts, plans and reasons of its namespaces, ``gateway`` the limits of its namespaces. A line may
have several (``role=gateway,read``).

Rules of this file:

* A line that is a token alone is of the format before roles: it may do everything, everywhere.
* What is not written has no effect by accident: a key that is unknown, or could not apply, is an
  error, so that a typo does not become a default.
* A message names the line and what is wrong with it; it never shows a token, nor a part of one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from scaler.adapters.http.problems import RefusalReason, RequestProblem
from scaler.errors import ServingError

CERTIFICATE = "cert:"
# More gateways than this under one token are rather an error or an attack.
DEFAULT_INSTANCES = 1000
KEYS = ("role", "namespaces", "name", "instances")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class AccessRole(StrEnum):
    """What may be asked for; see the top of this file."""

    GATEWAY = "gateway"
    READ = "read"
    METRICS = "metrics"


EVERY_ROLE = frozenset(AccessRole)


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """What the holder of a token or of a certificate may do.

    Attributes:
        owner: names the holder among others; "": nobody in particular.
        roles: what may be asked for.
        namespaces: of whose services; None: of all.
        instances: gateways of one service that may hold a share at once; None: as many as any.
    """

    owner: str = ""
    roles: frozenset[AccessRole] = EVERY_ROLE
    namespaces: frozenset[str] | None = None
    instances: int | None = None

    def reaches(self, service: str) -> bool:
        """Whether a service, ``"namespace/name"``, is in one of the namespaces."""
        return self.namespaces is None or service.partition("/")[0] in self.namespaces

    def check_role(self, *asked: AccessRole) -> None:
        """Raise `RequestProblem` 403 unless it has one of the roles."""
        if self.roles.isdisjoint(asked):
            needed = " or ".join(f"role={role}" for role in asked)
            raise self._refusal(RefusalReason.ROLE, needed, {"roles": list(asked)})

    def check_service(self, service: str) -> None:
        """Raise `RequestProblem` 403 unless the service is in one of the namespaces."""
        if not self.reaches(service):
            namespace = service.partition("/")[0][:63]
            asked = {"namespace": namespace}
            raise self._refusal(RefusalReason.NAMESPACE, f"namespace {namespace!r}", asked)

    def check_services(self, services: Iterable[str]) -> None:
        """Raise `RequestProblem` 403 unless it reaches all of them; "" is no service."""
        for service in services:
            if service:
                self.check_service(service)

    def _refusal(
        self, reason: RefusalReason, needed: str, asked: Mapping[str, object]
    ) -> RequestProblem:
        roles = sorted(self.roles)
        namespaces = ["*"] if self.namespaces is None else sorted(self.namespaces)
        may = f"role={','.join(roles)} namespaces={','.join(namespaces)}"
        detail = f"this needs {needed}; {self.owner or 'the token'} has {may}"
        may_body = {"roles": roles, "namespaces": namespaces}
        return RequestProblem(403, detail, reason=reason, may=may_body, asked=asked)


EVERYTHING = AccessGrant()


@dataclass(frozen=True, slots=True)
class AccessGrants:
    """The grants of a file.

    Attributes:
        tokens: by SHA-256 digest, so that how long a look-up takes says nothing of a token.
        certificates: by a name of the certificate.
        open_lines: numbers of the lines that name no role.
    """

    tokens: Mapping[bytes, AccessGrant]
    certificates: Mapping[str, AccessGrant]
    open_lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens) + len(self.certificates)

    def of_token(self, token: bytes) -> AccessGrant | None:
        return self.tokens.get(hashlib.sha256(token).digest())

    def of_certificate(self, names: Iterable[str]) -> AccessGrant | None:
        """Return the grant of the first line, in the order of the file, that has one of the names.

        Args:
            names: of a certificate that was verified.
        """
        named = set(names)
        found = (grant for name, grant in self.certificates.items() if name in named)
        return next(found, None)


def read_grants(text: str, where: str, *, peers_verified: bool = False) -> AccessGrants:
    """Return the grants of a token file.

    Args:
        text: of the file; blank lines and lines that begin with # are skipped.
        where: names the file in messages.
        peers_verified: whether clients show certificates, which lines can then name.

    Raises:
        ServingError: a line is wrong; the message has its number.
    """
    tokens: dict[bytes, AccessGrant] = {}
    certificates: dict[str, AccessGrant] = {}
    open_lines = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            who, given = words[0], _given(words)
            if who.startswith(CERTIFICATE):
                _check_certificate(who, given, peers_verified=peers_verified)
                _add(certificates, who.removeprefix(CERTIFICATE), _grant(given, who))
            else:
                digest = hashlib.sha256(who.encode()).digest()
                _add(tokens, digest, _grant(given, f"sha256-{digest.hex()[:12]}"))
        except ValueError as error:
            raise ServingError(f"{where}, line {number}: {error}") from None
        if "role" not in given:
            open_lines.append(number)
    return AccessGrants(tokens, certificates, tuple(open_lines))


def _given(words: list[str]) -> dict[str, str]:
    """Return the keys of a line with their values."""
    first = words[0].partition("=")
    if first[1] and first[0] in KEYS:
        raise ValueError(f"it begins with {first[0]}=, but must begin with the token")
    given: dict[str, str] = {}
    for position, word in enumerate(words[1:], 2):
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            # The word itself may be part of a token that holds a space.
            near = get_close_matches(key, KEYS, n=1)
            hint = f"; did you mean {near[0]}=?" if near else ""
            known = ", ".join(f"{one}=" for one in KEYS)
            raise ValueError(f"word {position} must be one of {known}{hint}")
        if key in given:
            raise ValueError(f"{key}= is given twice")
        given[key] = value
    return given


def _check_certificate(who: str, given: Mapping[str, str], *, peers_verified: bool) -> None:
    if who == CERTIFICATE:
        raise ValueError("cert: needs the name of a certificate right behind it")
    if not peers_verified:
        raise ValueError(f"{who[:200]} can match nobody: without --client-ca none is verified")
    if "role" not in given:
        raise ValueError(f"{who[:200]} needs role=, such as role=gateway")


def _grant(given: Mapping[str, str], owner: str) -> AccessGrant:
    if not given:
        return EVERYTHING
    for key in ("namespaces", "instances"):
        if key in given and "role" not in given:
            raise ValueError(f"{key}= needs role=, such as role=gateway")
    roles = _listed(given, "role", lambda role: role in EVERY_ROLE, ", ".join(AccessRole))
    namespaces = None
    if given.get("namespaces", "*") != "*":
        rule = "namespaces such as shop,pay, or *"
        is_namespace = _NAMESPACE.fullmatch
        namespaces = _listed(given, "namespaces", lambda one: bool(is_namespace(one)), rule)
        if roles and AccessRole.METRICS in roles:
            raise ValueError("role=metrics shows all namespaces: leave namespaces= out")
    if "instances" in given and AccessRole.GATEWAY not in (roles or ()):
        raise ValueError("instances= needs role=gateway")
    return AccessGrant(
        _name(given, owner),
        EVERY_ROLE if roles is None else frozenset(map(AccessRole, roles)),
        namespaces,
        _instances(given),
    )


def _listed(
    given: Mapping[str, str], key: str, is_valid: Callable[[str], bool], rule: str
) -> frozenset[str] | None:
    if key not in given:
        return None
    values = given[key].split(",")
    for one in values:
        if not is_valid(one):
            raise ValueError(f"{key}= has {one[:63]!r}, but must be of {rule}")
    return frozenset(values)


def _name(given: Mapping[str, str], owner: str) -> str:
    name = given.get("name", owner)
    if "name" in given and not _NAME.fullmatch(name):
        raise ValueError("name= must be 1 to 63 letters, digits and . _ -, the first no sign")
    return name


def _instances(given: Mapping[str, str]) -> int:
    text = given.get("instances", str(DEFAULT_INSTANCES))
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise ValueError(f"instances= is {text[:20]!r}, but must be a whole number above 0")
    return int(text)


def _add(grants: dict[Any, AccessGrant], key: object, grant: AccessGrant) -> None:
    if grants.setdefault(key, grant) != grant:
        raise ValueError("a line above gives the same token or certificate something else")
