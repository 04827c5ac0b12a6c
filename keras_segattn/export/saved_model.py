"""TensorFlow SavedModel, for TensorFlow Serving."""

import json
from pathlib import Path

from keras_segattn.export.format import Format

METADATA = Path("assets.extra", "keras_segattn.json")


class SavedModel(Format):
    """A folder with the signatures `serving_default`, `serve_encoded` and `serve_logits`.

    `serving_default` has the input `images`. `serve_encoded` exists if preprocessing is inside; its
    input is `image_bytes`, a vector of JPEG, PNG, GIF or BMP files of one size, which are resized
    for a model with a fixed size. Both return the exported output; `serve_logits` returns the
    logits. A network that finds objects has several outputs and no logits.
    """

    name = "saved_model"
    files = ("saved_model.pb", "fingerprint.pb", "variables/*", METADATA.as_posix())
    runtime = ("tensorflow",)
    extras = ("tensorflow",)

    def write(self, served, path, metadata, dtype="float32", calibration=None):
        import tensorflow as tf

        names = set(served.output) - {"logits"} or {"logits"}
        archive, images, network = _archive(served)

        def serve(images):
            outputs = network(images)
            return {name: outputs[name] for name in names}

        def serve_encoded(image_bytes):
            return serve(_decode(image_bytes, served.input_shape))

        def serve_logits(images):
            return {"logits": network(images)["logits"]}

        archive.add_endpoint("serving_default", serve, input_signature=[images])
        if "logits" in served.output:
            archive.add_endpoint("serve_logits", serve_logits, input_signature=[images])
        if served.input.dtype == "uint8" and served.input_shape[-1] in (1, 3, 4):
            files = tf.TensorSpec(served.input_shape[:1], tf.string, name="image_bytes")
            archive.add_endpoint("serve_encoded", serve_encoded, input_signature=[files])
        archive.write_out(str(path), verbose=False)
        (path / METADATA).parent.mkdir(exist_ok=True)
        (path / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")

    def load(self, path, threads=None, logits=True):
        """Threads belong to the process and must be set before its first computation."""
        import tensorflow as tf

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        loaded = tf.saved_model.load(str(path))
        names = {"serving_default", "serve_logits"} if logits else {"serving_default"}
        names &= set(loaded.signatures)

        def run(images):
            outputs = {}
            for name in names:
                outputs |= loaded.signatures[name](images=tf.constant(images))
            return {name: value.numpy() for name, value in outputs.items()}

        return run

    def read_metadata(self, path):
        return json.loads((path / METADATA).read_text())


def write_both_outputs(served, path):
    """Writes a SavedModel for other converters: one signature with the output and the logits."""
    archive, images, network = _archive(served)
    archive.add_endpoint(
        "serving_default", lambda images: network(images), input_signature=[images]
    )
    archive.write_out(str(path), verbose=False)


def _archive(served):
    """Returns an archive of the weights, the specification of images, and the model as a function.

    The model is traced here, once for all signatures. An archive that tracks the model itself would
    look for lookup tables in every layer, and trace the model twice more for that.
    """
    import keras
    import tensorflow as tf

    from keras_segattn.export.native_resize import native_resize

    archive = keras.export.ExportArchive()
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        # Of Keras's own variables, a second copy would be saved.
        archive.add_variable_collection(name, [v.value for v in getattr(served, name)])
    images = tf.TensorSpec(served.input_shape, served.input.dtype, name="images")
    network = tf.function(lambda images: served(images, training=False), autograph=False)
    with native_resize():
        return archive, images, network.get_concrete_function(images)


def _decode(files, shape):
    import tensorflow as tf

    _, height, width, channels = shape

    def decode(file):
        image = tf.io.decode_image(file, channels=channels, expand_animations=False)
        if height is None or width is None:
            return image
        resized = tf.image.resize(image, (height, width))
        return tf.cast(tf.round(resized), tf.uint8)

    images = tf.map_fn(decode, files, fn_output_signature=tf.uint8)
    return tf.ensure_shape(images, shape)
