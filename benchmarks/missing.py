"""What a row says when it cannot run here."""


class NotHere(Exception):
    """The row cannot run: the message says what is missing."""
