"""Texts as labs and rigs write them: in which encoding, and what separates the cells of a table."""

SEPARATORS = ",;\t"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
LAST_LETTER = 4  # most bytes of a letter in UTF-8


def find_encoding(content: bytes, is_whole: bool) -> str:
    """UTF-8 or UTF-16, with or without byte order mark, else Windows-1252, in which a micro sign is one byte.

    Parameters
    ----------
    content
        A text, or how it begins.
    is_whole
        False where it may be cut within its last letter.

    >>> find_encoding("10 µM".encode("utf-16-le"), True), find_encoding("10 µM".encode("cp1252"), True)
    ('utf-16-le', 'cp1252')
    """
    if content.startswith(UTF16_MARKS):
        return "utf-16"
    if b"\0" in content:  # a table holds no NUL: UTF-16 without a mark
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if is_whole or error.start < len(content) - LAST_LETTER:
            return "cp1252"
    return "utf-8-sig"
