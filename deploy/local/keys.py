"""Tokens that the local stack accepts: a key pair made once for each home, and what it signs."""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from deploy.local.errors import StackError
from deploy.local.settings import GivenSettings

KEY_FILE: Final = "token-key.pem"
LIFETIME: Final = timedelta(days=7)


def public_key(home: Path) -> str:
    """The key that tokens of this home are verified with, as PEM."""
    key = _private_key(home).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def token(home: Path, *, tenant: str, user: str, role: str, groups: Sequence[str] = ()) -> str:
    """A signed JWT (ES256), good for seven days.

    Issuer and audience are those of the environment, else the local stack's own.
    """
    given = GivenSettings()
    now = datetime.now(UTC)
    claims = {
        "sub": user,
        "tenant": tenant,
        "role": role,
        "iss": given.auth_issuer,
        "aud": given.auth_audience,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
    }
    if groups:
        claims["groups"] = list(groups)
    return jwt.encode(claims, _private_key(home), algorithm="ES256")


def _private_key(home: Path) -> EllipticCurvePrivateKey:
    path = home / KEY_FILE
    try:
        if not path.exists():
            home.mkdir(parents=True, exist_ok=True)
            _make(path)
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}.") from error
    except ValueError:
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise StackError(f"{path} does not hold a key of ours: remove it to have one made.")
    return key


def _make(path: Path) -> None:
    """Put a new key there, whole from the first moment; of two at once, one stays."""
    key = generate_private_key(SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # mkstemp's file is readable by its owner only.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        path.hardlink_to(unfinished)
    except FileExistsError:
        return
    finally:
        unfinished.unlink()
