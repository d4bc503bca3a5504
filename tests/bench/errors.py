"""What can end a benchmark."""


class BenchError(Exception):
    """A run that cannot be measured; the text is for the person who started it."""
