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
# The line before the first item of a list inside an entry; Markdown needs an empty line there.
BEFORE_LIST = re.compile(r"^((?: {4}| {8})(?![- ]).*\n)(?= {8}- )", re.MULTILINE)
# The default of a dataclass field that a private function makes.
FIELD = re.compile(r"_\w+\((.*)\)")


class KerasDocstrings(griffe.Extension):
    """Turns these sections into Markdown: lists, paragraphs, and code for doctests."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            text = BEFORE_LIST.sub(r"\1\n", obj.docstring.value)
            text = SECTION.sub(_section, text)
            obj.docstring.value = DOCTEST.sub(r"**Example:**\n\n```pycon\n\1\n```", text)

    def on_attribute_instance(self, *, attr, **kwargs):
        if (field := FIELD.fullmatch(str(attr.value))) is not None:
            attr.value = field[1]


def _section(match):
    name, body = match[1], textwrap.dedent(match[2])
    if name == "Call arguments":
        body = ITEM.sub(r"- **`\1`**: ", body)
    return f"**{name}:**\n\n{body}"
