"""What identifies a document, and which of its fields an answer shows."""

from base64 import urlsafe_b64encode
from hashlib import blake2b

DISPLAY_FIELDS = (
    "recordingId",
    "ownerId",
    "direction",
    "from",
    "to",
    "date",
    "analysisResult",
    "channels",
    "duration",
    "tags",
    "video",
    "hasNotes",
)


def document_id(tenant_id: str, *ids: str) -> str:
    """The `_id` of a tenant's thing: a digest, because ids may be longer than `_id` allows.

    The lengths go into the digest, so that no two lists of ids are the same bytes.
    """
    digest = blake2b(digest_size=20)
    for part in (tenant_id, *ids):
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
