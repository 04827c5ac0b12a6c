"""TensorFlow SavedModel, as TensorFlow Serving loads it."""


def write(model, path):
    """Writes a model as a SavedModel whose `serving_default` takes `images`."""
    model.export(str(path), format="tf_saved_model", verbose=False)


def load(path):
    """Returns a function from a batch of images to the class map, run by TensorFlow alone."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]

    def run(images):
        (output,) = signature(images=tf.constant(images)).values()
        return output.numpy()

    # The signature holds no reference to the object that owns its variables.
    run.loaded = loaded
    return run
