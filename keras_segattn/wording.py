"""Numbers with nouns for messages."""


def counted(number, noun):
    """Returns a number with its noun: `"1 class"`, `"2 classes"`.

    Args:
        number: Integer.
        noun: The noun in the singular.
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
