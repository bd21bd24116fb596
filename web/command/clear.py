"""What a person can mend is said in one line, without a traceback."""


class Clear(Exception):
    """A command did not do it; the text says why, and what to do."""
