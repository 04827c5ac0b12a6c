"""Request and response bodies."""

import base64
import io
import re

from starlette.exceptions import HTTPException

# Maximum number of fields in a form.
MOST_PARTS = 20
JSON_FILE = re.compile(rb'\s*\{\s*"image"\s*:\s*"(?:data:[^",]*,)?([A-Za-z0-9+/=\\]*)"\s*\}\s*')


def png(result):
    """Returns the labels of a `Segmentation` as the bytes of a PNG file."""
    file = io.BytesIO()
    result.label_image().save(file, "PNG")
    return file.getvalue()


def file_of_form(body, content_type):
    """Returns the bytes of the file in a form, as browsers and `curl --form` send it.

    The number of fields is limited, and Python's `email` is not used: it would need gigabytes for a
    form of a million empty fields.
    """
    boundary = re.search(r'(?i)boundary=("[^"]+"|[^\s;,]+)', content_type)
    if boundary is None:
        raise HTTPException(400, "The content type of the form has no boundary.")
    separator = b"\r\n--" + boundary[1].strip('"').encode("latin-1")
    _, *parts = (b"\r\n" + body).split(separator, MOST_PARTS + 1)
    if len(parts) > MOST_PARTS:
        raise HTTPException(413, f"The form must have fewer than {MOST_PARTS} fields.")
    fields = [part.partition(b"\r\n\r\n") for part in parts if not part.startswith(b"--")]
    files = [content for head, _, content in fields if re.search(rb"(?i)\bfilename\*?=", head)]
    if len(files) != 1:
        raise HTTPException(400, f"The form must contain one file. Received: {len(files)}.")
    return files[0]


def file_of_json(body):
    """Returns the bytes of the file in `{"image": "..."}`, in base64 or as a data URL."""
    # For other content, a JSON parser could need far more memory than the body.
    found = JSON_FILE.fullmatch(body)
    try:
        return base64.b64decode(found[1].replace(b"\\/", b"/"), validate=True)
    except (TypeError, ValueError) as error:
        message = 'JSON must have the form {"image": "..."}, with the file in base64.'
        raise HTTPException(400, message) from error
