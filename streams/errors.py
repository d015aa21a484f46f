"""What went wrong, said to the person who can mend it.

A `TwinsError` is anticipated: the command line prints its message on one line, without a traceback, and exits
with its code. Everything else is a defect and keeps its traceback.
"""


class TwinsError(Exception):
    """An anticipated failure whose message says what happened, where, and what to do next."""

    exit_code = 1


class UsageError(TwinsError):
    """The command or its settings were wrong; nothing was done."""

    exit_code = 2
