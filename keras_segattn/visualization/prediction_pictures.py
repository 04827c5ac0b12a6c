"""Callback that shows how the predictions change during training."""

from pathlib import Path

import keras

from keras_segattn.applications.logits import returns_logits, task_of
from keras_segattn.spread import evenly_spread
from keras_segattn.task import DEFAULT_THRESHOLD, as_logits, choose_classes
from keras_segattn.visualization.mask_pictures import plot_predictions
from keras_segattn.visualization.masks import overlay_mask
from keras_segattn.wording import counted


class PredictionPictures(keras.callbacks.Callback):
    """Draws the predictions for a few images after every epoch, to files and TensorBoard.

    After seven epochs, the folder contains `epoch-0001.png` to `epoch-0007.png`, each with a row
    per image: the image, its mask, the prediction and its errors.

    Args:
        folder: The folder of the pictures, created if needed.
        dataset: A `keras_segattn.data.SegmentationDataset`; the drawn images are spread evenly over
            it.
        count: Integer, the number of images. Defaults to `4`.
        freq: Integer, the number of epochs between two pictures. Defaults to `1`.
        log_dir: Folder for TensorBoard, which requires TensorFlow, or `None`. Defaults to `None`.

    Raises:
        ValueError: If `count` or `freq` is below 1, or the data set is empty.
        ImportError: If `log_dir` is given and TensorFlow is not installed.

    Example:

    ```python
    pictures = PredictionPictures("run/pictures", CamVid("data/CamVid", "val"))
    model.fit(batches, epochs=20, callbacks=[pictures])
    ```
    """

    def __init__(self, folder, dataset, count=4, freq=1, log_dir=None):
        super().__init__()
        if min(count, freq, len(dataset)) < 1:
            raise ValueError(
                "`count`, `freq` and the number of samples must be at least 1. Received: "
                f"count={count}, freq={freq}, {counted(len(dataset), 'sample')}"
            )
        self.folder = Path(folder)
        self.dataset = dataset
        self.freq = freq
        self.samples = [dataset.read(index) for index in evenly_spread(len(dataset), count)]
        self.writer = None if log_dir is None else _summary_writer(log_dir)

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.freq:
            return
        images, masks = zip(*self.samples, strict=True)
        predictions = [self._predict(image) for image in images]
        class_names, palette = self.dataset.class_names, self.dataset.palette
        path = self.folder / f"epoch-{epoch + 1:04d}.png"
        plot_predictions(path, images, masks, predictions, class_names, palette, errors=True)
        if self.writer is not None:
            self._log(epoch, images, predictions)

    def _predict(self, image):
        outputs = self.model(self.model.preprocessing(image[None]), training=False)
        task = task_of(self.model)
        least = None if task == "multiclass" else DEFAULT_THRESHOLD
        if least is not None and returns_logits(self.model):
            least = as_logits(least)
        return choose_classes(keras.ops.convert_to_numpy(outputs)[0], task, least)

    def _log(self, epoch, images, predictions):
        import tensorflow as tf

        # `tf.summary.image` would require TensorBoard, which is needed only to read the files.
        summary = tf.compat.v1.Summary()
        for number, (image, prediction) in enumerate(zip(images, predictions, strict=True)):
            drawn = overlay_mask(image, prediction, self.dataset.palette)
            height, width, colorspace = drawn.shape
            picture = summary.value.add(tag=f"prediction_{number}").image
            picture.height, picture.width, picture.colorspace = height, width, colorspace
            picture.encoded_image_string = tf.io.encode_png(drawn).numpy()
        with self.writer.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=epoch + 1)
        self.writer.flush()


def _summary_writer(folder):
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "`log_dir` needs TensorFlow, which writes TensorBoard's files: "
            "pip install 'keras-segattn[tensorflow]'"
        ) from error
    return tf.summary.create_file_writer(str(folder))
