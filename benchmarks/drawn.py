"""Tables in documents that a command draws, between two comments."""

END = "<!-- end of drawn -->"


def replace_drawn(text: str, begin: str, table: str) -> str:
    """The text with another table between the comment ``begin`` and the next :data:`END`.

    >>> replace_drawn("a <!-- x --> old <!-- end of drawn --> b", "<!-- x -->", "new")
    'a <!-- x -->\\n\\nnew\\n\\n<!-- end of drawn --> b'
    """
    before, rest = text.split(begin)
    _, after = rest.split(END)
    return f"{before}{begin}\n\n{table}\n\n{END}{after}"
