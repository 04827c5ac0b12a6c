"""Checks of the arguments that all networks share."""


def check_image_and_classes(input_shape, classes, smallest_side=32):
    """Raises a ValueError unless the image shape and the number of classes are possible."""
    if len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be (height, width, channels), without the batch. Received: "
            f"{input_shape}"
        )
    for size in input_shape[:2]:
        if size is not None and size < smallest_side:
            raise ValueError(
                f"Height and width must be at least {smallest_side}, the stride of the deepest "
                f"level, or None. Received: input_shape={input_shape}"
            )
    if classes < 1:
        raise ValueError(f"`classes` must be at least 1. Received: {classes}")


def check_auxiliary_heads(auxiliary_heads, include_top):
    """Raises a ValueError if auxiliary heads are asked for where nothing is classified."""
    if auxiliary_heads and not include_top:
        raise ValueError(
            "`auxiliary_heads=True` needs `include_top=True`: without it nothing is classified."
        )
