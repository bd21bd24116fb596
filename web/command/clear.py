"""What a person can mend is said in one line, without a traceback."""


class CommandError(Exception):
    """A command did not do it; the text says why, and what to do."""
