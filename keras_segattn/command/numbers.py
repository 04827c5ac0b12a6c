"""Numbers on a command line, checked as they are parsed."""

import argparse
import math


def number(least, most=math.inf, kind=int):
    """Returns a converter for an option that must be a finite number between two bounds."""

    def convert(text):
        value = kind(text)
        if not (least <= value <= most and math.isfinite(value)):
            bounds = f"from {least} up" if most == math.inf else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, not {text}")
        return value

    # argparse names this type in its message about text that is not a number.
    convert.__name__ = kind.__name__
    return convert
