"""Segments one large file: a GeoTIFF scene or a video."""

import sys

import keras

from keras_segattn.inference import segment_geotiff, segment_video

SCENES = (".tif", ".tiff")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg")
TILE = 512


def check_options(arguments):
    """Raises a ValueError if an option has no effect on a scene or a video."""
    is_scene = arguments.images.suffix.lower() in SCENES
    given = {
        "--scales": arguments.scales != [1.0],
        "--flip": arguments.flip,
        "--raw": arguments.raw,
        "--imagenet": arguments.imagenet,
        "--size": is_scene and arguments.size is not None,
        "--overlay": is_scene and arguments.overlay,
        "--smoothing": is_scene and arguments.smoothing,
        "--polygons": not is_scene and arguments.polygons,
    }
    found = [name for name, value in given.items() if value]
    if found:
        kind = "a GeoTIFF scene" if is_scene else "a video"
        raise ValueError(
            f"{', '.join(found)} cannot be used with {kind}: {arguments.images}. Remove it, or "
            "pass a folder of images."
        )


def predict_file(model, arguments):
    """Segments the scene or video named by the arguments, and prints the written files.

    Args:
        model: The network.
        arguments: Arguments of `keras-segattn predict`, with `results` as the file or folder.
    """
    source = arguments.images
    is_scene = source.suffix.lower() in SCENES
    suffix = ".tif" if is_scene else ".mp4"
    target = arguments.results
    if target.suffix.lower() not in (*SCENES, *VIDEOS):
        target = target / f"{source.stem}_classes{suffix}"
    polygons = target.with_suffix(".geojson") if is_scene and arguments.polygons else None
    for path in filter(None, (target, polygons)):
        if path.exists():
            raise ValueError(f"{path} already exists. Move it away, or choose another file name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Shown only on a terminal: a log would get a line for each row or frame.
    shown = keras.utils.Progbar(100 if is_scene else None) if sys.stdout.isatty() else None
    options = {"threshold": arguments.threshold, "batch_size": 1}
    if is_scene:
        shares = segment_geotiff(
            model,
            source,
            target,
            tile=arguments.tile or TILE,
            polygons=polygons,
            simplify=arguments.simplify,
            progress=shown and (lambda share: shown.update(round(100 * share))),
            **options,
        )
        print(*(f"  {name} {100 * share:.1f} %" for name, share in shares.items()), sep="\n")
        print("written:", *filter(None, (target, polygons)))
        return
    report = segment_video(
        model,
        source,
        target,
        smoothing=arguments.smoothing,
        size=arguments.size,
        tile=arguments.tile,
        progress=shown and (lambda count, rate: shown.update(count, [("frames/s", rate)])),
        **options,
    )
    print(report)
