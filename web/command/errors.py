"""The error of every command: `etabli` prints its text in one line, without a traceback."""


class CommandError(Exception):
    """A command did nothing; the text says why, and what to do about it."""
