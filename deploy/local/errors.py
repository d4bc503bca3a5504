"""The one way in which the local stack fails on purpose."""


class StackError(Exception):
    """The local stack cannot do what was asked; the text is one sentence for the person."""
