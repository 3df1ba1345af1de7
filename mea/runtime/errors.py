"""What can be wrong with a user's input, as opposed to with our code."""


class MeaError(Exception):
    """A mistake the user can correct. The text names the file, the value, the rule and the remedy.

    A stage prints it without a stack trace and ends with exit status 1.
    """


class BadRecording(MeaError):
    """One recording cannot be used; ``on_bad_recording: skip`` sets it aside and goes on."""
