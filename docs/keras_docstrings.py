"""Renders docstring sections that Keras's style has and Google's style lacks."""

import re
import textwrap

import griffe

# A heading and the indented text below it.
SECTION = re.compile(
    r"^(Call arguments|Returns|Reference):\n((?:(?:[ ]{4}.*)?\n)*[ ]{4}.*)", re.MULTILINE
)
DOCTEST = re.compile(r"^Example:\n\n(>>> .*(?:\n.+)*)", re.MULTILINE)
ITEM = re.compile(r"^(\w+): ", re.MULTILINE)


class KerasDocstrings(griffe.Extension):
    """Turns these sections into Markdown: lists, paragraphs, and code for doctests."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            text = SECTION.sub(_section, obj.docstring.value)
            obj.docstring.value = DOCTEST.sub(r"**Example:**\n\n```pycon\n\1\n```", text)


def _section(match):
    name, body = match[1], textwrap.dedent(match[2])
    if name == "Call arguments":
        body = ITEM.sub(r"- **`\1`**: ", body)
    return f"**{name}:**\n\n{body}"
