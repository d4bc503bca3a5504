"""The two families of errors: the caller's fault and the backend's fault.

Everything that goes wrong on purpose in this service is one of these. The caller's faults carry
what a person needs to mend the request; the backend's say whether trying again can help.
"""


class CallerError(Exception):
    """The caller asked for something wrong; `detail` is written for the caller to read.

    `code` is a stable word for programs, `parameter` the name of the offending parameter, and
    `position` the 0-based character in its value where the problem is.
    """

    def __init__(
        self, code: str, detail: str, *, parameter: str | None = None, position: int | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.parameter = parameter
        self.position = position


class BackendError(Exception):
    """Elasticsearch or Redis did not do what was asked; the text is for the operator only.

    `retryable` says whether the same request can succeed later without a change.
    """

    def __init__(self, detail: str, *, retryable: bool) -> None:
        super().__init__(detail)
        self.retryable = retryable


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and never shows its value."""
