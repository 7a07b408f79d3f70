"""Why a request gets no vectors, in the words and codes that each of the two kinds of client knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Why(Enum):
    """A reason: OpenAI's status, type and code, then text-embeddings-inference's status and type."""

    MALFORMED = (400, "invalid_request_error", None, 422, "Validation")
    NO_JSON = (400, "invalid_request_error", None, 400, "Validation")
    EMPTY = (400, "invalid_request_error", None, 400, "Empty")
    TOO_LONG = (400, "invalid_request_error", "context_length_exceeded", 413, "Validation")
    INVALID = (400, "invalid_request_error", None, 413, "Validation")
    NOT_HERE = (404, "invalid_request_error", None, 404, "Validation")
    NO_MODEL = (404, "invalid_request_error", "model_not_found", 404, "Validation")
    METHOD = (405, "invalid_request_error", "method_not_supported", 405, "Validation")
    HOST = (403, "invalid_request_error", None, 403, "Validation")
    KEY = (401, "invalid_request_error", "invalid_api_key", 401, "Validation")
    SLOW_BODY = (408, "invalid_request_error", None, 408, "Validation")
    BODY = (413, "invalid_request_error", None, 413, "Validation")
    MEDIA = (415, "invalid_request_error", None, 415, "Validation")
    OVERLOADED = (429, "rate_limit_error", "rate_limit_exceeded", 429, "Overloaded")
    BROKEN = (500, "server_error", None, 424, "Backend")
    LATE = (503, "server_error", "timeout", 503, "Unhealthy")
    UNREADY = (503, "server_error", None, 503, "Unhealthy")


@dataclass
class RefusedError(Exception):
    """Ends a request; the message is for whoever sent it, and holds nothing of other requests."""

    why: Why
    message: str
    param: str | None = None  # the field of the request that is to blame
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    def answer(self, *, openai: bool) -> tuple[int, dict[str, Any]]:
        """Return the status and the body, of OpenAI's form or of text-embeddings-inference's."""
        status, kind, code, other_status, other_kind = self.why.value
        if openai:
            return status, {"error": {"message": self.message, "type": kind, "param": self.param, "code": code}}
        return other_status, {"error": self.message, "error_type": other_kind}
