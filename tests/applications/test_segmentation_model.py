"""Networks that know their preprocessing and classes."""

import functools

import keras
import numpy as np
import pytest

from keras_segattn.applications import DeepSupervision, SegmentationModel
from keras_segattn.data import RandomScaleCropFlip, RoadScenes
from keras_segattn.export import export_model
from keras_segattn.inference import segment
from keras_segattn.losses import FocalLoss, WeightedCrossEntropy
from keras_segattn.metrics import SegmentationScores
from keras_segattn.weights import Preprocessing
from tests.applications.cases import CASES
from tests.training import call, randomize

BGR = Preprocessing([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], channel_order="BGR")

NAMES = ("a", "b", "c", "d", "e")
PALETTE = tuple((40 * i, 0, 255) for i in range(5))


def test_preprocessing_is_that_of_the_equation(rng):
    images = rng.integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    want = (images[..., ::-1] / 255 - [0.4, 0.5, 0.6]) / [0.1, 0.2, 0.3]
    np.testing.assert_allclose(np.array(BGR(images)), want, atol=1e-5)
    symbolic = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(symbolic, BGR(symbolic))
    np.testing.assert_allclose(model.predict(images, verbose=0), want, atol=1e-5)


def test_preprocessing_runs_inside_tf_data(rng):
    tf = pytest.importorskip("tensorflow")
    image = rng.integers(0, 256, (4, 5, 3), dtype="uint8")
    (got,) = tf.data.Dataset.from_tensors(image).map(BGR).as_numpy_iterator()
    np.testing.assert_allclose(got, np.array(BGR(image)), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.5], "std": [1.0, 1.0]}, "one number per channel"),
        ({"mean": [0.5], "std": [0.0]}, "must be positive"),
        ({"mean": [0.5] * 3, "std": [1] * 3, "channel_order": "GBR"}, "'GBR'"),
        ({"mean": [0.5], "std": [1], "channel_order": "BGR"}, "three channels"),
    ],
)
def test_preprocessing_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**arguments)


@pytest.mark.once
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_loaded_model_knows_its_images_and_classes(case, deep, tmp_path):
    model = CASES[case](**({"auxiliary_heads": True} if deep else {}))
    model.preprocessing = BGR
    model.class_names = NAMES
    model.palette = PALETTE
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.preprocessing == BGR
    assert loaded.class_names == NAMES
    assert loaded.palette == PALETTE


def test_class_names_are_one_per_class():
    model = CASES["canet"]()
    with pytest.raises(ValueError, match=r"each of the 5 classes. Received 2: \['a', 'b'\]"):
        model.class_names = ["a", "b"]


def ending(kind):
    """A model with one kind of end, and whether that is logits."""
    image = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(3, 1)
    logits = convolution(image)
    softmax = keras.layers.Softmax()
    nested = keras.Model(image, softmax(logits))
    ends = {
        "convolution": (lambda: logits, True),
        "resized": (lambda: keras.layers.UpSampling2D(2)(logits), True),
        "softmax layer": (lambda: softmax(logits), False),
        "activation": (lambda: keras.layers.Activation("softmax")(logits), False),
        "sigmoid": (lambda: keras.layers.Activation("sigmoid")(logits), False),
        "in the convolution": (
            lambda: keras.layers.Conv2D(3, 1, activation="softmax")(image),
            False,
        ),
        "operation": (lambda: keras.ops.softmax(logits), False),
        "average": (
            lambda: keras.layers.Average()(
                [softmax(keras.layers.Conv2D(3, 1)(image)) for _ in range(2)]
            ),
            False,
        ),
        "nested": (lambda: nested(image), False),
        "nested and resized": (lambda: keras.layers.UpSampling2D(2)(nested(image)), False),
        "product": (lambda: logits * 2.0, None),
        "mixed": (lambda: keras.layers.Average()([logits, softmax(logits)]), None),
        "relu": (lambda: keras.layers.ReLU()(logits), None),
    }
    make, answer = ends[kind]
    return image, make(), answer


ENDS = """convolution, resized, softmax layer, activation, sigmoid, in the convolution, operation,
average, nested, nested and resized, product, mixed, relu"""
ENDS = [kind.strip() for kind in ENDS.split(",")]


@pytest.mark.parametrize("kind", ENDS)
def test_logits_and_probabilities_are_told_apart(kind, rng, tmp_path):
    image, output, answer = ending(kind)
    plain, model = keras.Model(image, output), SegmentationModel(image, output)
    assert model.from_logits is answer
    picture = rng.integers(0, 256, (40, 36, 3), dtype="uint8")
    for one in (plain, model):
        if answer is None:
            with pytest.raises(ValueError, match=r"Set model.from_logits to True or False"):
                segment(one, picture, preprocessing=model.preprocessing)
            one.from_logits = False
        found = segment(one, picture, preprocessing=model.preprocessing).probabilities
        want = one.predict(model.preprocessing(picture[None]), verbose=0)
        if answer:
            want = keras.ops.convert_to_numpy(keras.ops.softmax(want))
        np.testing.assert_allclose(found, want[0, :40, :36], atol=1e-6)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").from_logits is bool(answer)


@pytest.mark.once
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_networks_know_whether_they_return_logits(case, activation):
    task = "multilabel" if activation == "sigmoid" else "multiclass"
    model = CASES[case](classifier_activation=activation, task=task)
    assert model.from_logits is (activation is None)


KERAS_LOSS = keras.losses.SparseCategoricalCrossentropy


@pytest.mark.once
@pytest.mark.parametrize(
    ("activation", "loss", "fits"),
    [
        (None, WeightedCrossEntropy(), True),
        (None, KERAS_LOSS(from_logits=True), True),
        (None, "mean_squared_error", True),
        (None, WeightedCrossEntropy(from_logits=False), False),
        (None, KERAS_LOSS(), False),
        (None, "sparse_categorical_crossentropy", False),
        (None, keras.losses.sparse_categorical_crossentropy, False),
        (None, [WeightedCrossEntropy(), KERAS_LOSS()], False),
        ("softmax", WeightedCrossEntropy(), False),
        ("softmax", KERAS_LOSS(from_logits=True), False),
        ("softmax", FocalLoss(from_logits=False), True),
        ("softmax", "sparse_categorical_crossentropy", True),
    ],
)
def test_a_loss_of_the_other_kind_is_refused(activation, loss, fits):
    deep = isinstance(loss, list)
    model = CASES["ccnet"](classifier_activation=activation, auxiliary_heads=deep)
    if fits:
        model.compile("sgd", loss)
        return
    word = "logits" if activation is None else "probabilities"
    with pytest.raises(
        ValueError, match=rf"returns {word}, and the loss expects.*from_logits={activation is None}"
    ):
        model.compile("sgd", loss)


@pytest.mark.parametrize("label", [-1, 5, 2**40])
def test_fit_and_evaluate_refuse_numpy_labels_that_are_no_classes(label):
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(5, 1)(image))
    model.compile("sgd", WeightedCrossEntropy())
    images, labels = np.zeros((2, 4, 4, 3)), np.full((2, 4, 4), 255)
    model.fit(images, labels, verbose=0)
    labels[0, 0, 0] = label
    for name in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        options = {} if name.endswith("batch") else {"verbose": 0}
        function = functools.partial(getattr(model, name), **options)
        with pytest.raises(ValueError, match=rf"from 0 to 4, or 255 for void. Received {label}"):
            function(images, labels)
    with pytest.raises(ValueError, match=f"Received {label}"):
        model.fit(images, labels * 0, validation_data=(images, labels), verbose=0)
    with pytest.raises(ValueError, match=r"WeightedCrossEntropy\(class_weights=\{0: 2.0\}\)"):
        model.fit(images, labels * 0, class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize("kind", ["generator", "PyDataset", "tf.data", "DataLoader"])
@pytest.mark.parametrize("label", [2**40, -(2**40) + 1])
def test_labels_of_64_bits_are_not_cut(label, kind):
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(5, 1)(image))
    model.compile("sgd", WeightedCrossEntropy())
    images, labels = np.zeros((2, 4, 4, 3), "float32"), np.full((2, 4, 4), 255, "int64")
    labels[1, 0, 0] = label

    def data():
        if kind == "generator":
            return (pair for pair in [(images, labels)] * 9)
        if kind == "PyDataset":
            return Batches(images, labels)
        if kind == "tf.data":
            tf = pytest.importorskip("tensorflow")
            return tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
        torch = pytest.importorskip("torch")
        pairs = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(labels))
        return torch.utils.data.DataLoader(pairs, batch_size=2)

    assert np.isnan(model.evaluate(data(), steps=1, verbose=0))
    validation = {} if kind == "generator" else {"validation_data": data()}
    history = model.fit(data(), steps_per_epoch=1, verbose=0, shuffle=False, **validation).history
    assert all(np.isnan(values[0]) for values in history.values())


def sparse_categorical_crossentropy(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


class Batches(keras.utils.PyDataset):
    """One batch, as a user's own data set gives it."""

    def __init__(self, images, labels):
        super().__init__()
        self.batch = images, labels

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@pytest.mark.parametrize(
    ("label", "ignore_class", "auxiliary"),
    [(-1, None, False), (300, 255, False), (5, None, True), (None, 255, True)],
)
def test_sparse_losses_of_keras_are_nan_for_labels_that_are_no_classes(
    label, ignore_class, auxiliary
):
    image = keras.Input((4, 4, 3))
    outputs = [keras.layers.Conv2D(5, 1)(image) for _ in range(1 + auxiliary)]
    if auxiliary:
        model = DeepSupervision(keras.Model(image, outputs), [0.4])
    else:
        model = SegmentationModel(image, outputs)
    images, labels = np.zeros((2, 4, 4, 3)), np.full((2, 4, 4), 1)
    loss = sparse_categorical_crossentropy
    if ignore_class is not None:
        labels[1] = ignore_class
        loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class)
    if label is not None:
        labels[0, 0, 0] = label
    model.compile("sgd", loss)
    assert np.isnan(model.evaluate(Batches(images, labels), verbose=0)) == (label is not None)
    if label is not None and not auxiliary:
        with pytest.raises(ValueError, match=rf"from 0 to 4.* Received {label} in 1 of 32 pixels"):
            model.fit(images, labels, verbose=0)
    history = model.fit(Batches(images, labels), verbose=0).history["loss"][0]
    assert np.isnan(history) == (label is not None)


@pytest.mark.parametrize("kind", ["array", "PyDataset", "pipeline", "our PyDataset"])
def test_fit_warns_of_batches_of_one_where_one_value_is_normalized(kind):
    image = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    norm = keras.layers.BatchNormalization(name="norm")
    logits = keras.layers.Conv2D(11, 1)(image) + keras.layers.Dense(11)(norm(pooled))
    model = SegmentationModel(image, logits, from_logits=True)
    model.compile("sgd", WeightedCrossEntropy())
    images, labels, scenes = np.zeros((2, 32, 32, 3)), np.zeros((2, 32, 32)), RoadScenes("train", 2)
    crops = {"training": True, "augmentation": RandomScaleCropFlip((32, 32))}

    def fit(size):
        if kind == "array":
            return model.fit(images, labels, batch_size=size, verbose=0)
        if kind == "PyDataset":
            return model.fit(Batches(images[:size], labels[:size]), verbose=0)
        if kind == "pipeline":
            pytest.importorskip("tensorflow")
            return model.fit(scenes.to_tf_dataset(size, **crops), verbose=0)
        return model.fit(scenes.to_py_dataset(size, **crops), verbose=0)

    with pytest.warns(UserWarning, match="Batches of one image .* norm normalizes one value"):
        fit(1)
    fit(2)
    norm.trainable = False
    model.compile("sgd", WeightedCrossEntropy())
    fit(1)


@pytest.mark.tensorflow
def test_fit_traces_the_step_once():
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(5, 1)(image))
    model.compile("adam", WeightedCrossEntropy())
    step, traces = model.train_step, []
    model.train_step = lambda data: traces.append(data) or step(data)
    model.fit(np.zeros((4, 4, 4, 3)), np.zeros((4, 4, 4)), batch_size=2, verbose=0)
    assert len(traces) == 1


def test_a_frozen_backbone_stays_frozen(tmp_path):
    model = CASES["canet"]()
    free = len(model.trainable_weights)
    # ResNets in other tests are slow; this backbone is of the same blocks.
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    backbone.trainable = False
    assert len(model.trainable_weights) < free
    model.save(tmp_path / "model.keras")
    for copy in (
        keras.saving.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
    ):
        assert len(copy.trainable_weights) == len(model.trainable_weights)
        assert not any(weight.trainable for weight in copy.get_layer(backbone.name).weights)


def described(model):
    model.preprocessing = BGR
    model.class_names = NAMES
    model.palette = PALETTE
    model.from_logits = False
    return model


def description(model):
    return model.preprocessing, model.class_names, model.palette, model.from_logits


@pytest.mark.once
@pytest.mark.parametrize("case", CASES)
def test_a_clone_knows_its_images_and_classes(case):
    model = described(CASES[case]())
    clone = keras.models.clone_model(model)
    assert type(clone) is SegmentationModel
    assert description(clone) == description(model)
    assert [weight.path for weight in clone.weights] == [weight.path for weight in model.weights]


@pytest.mark.once
@pytest.mark.parametrize("case", CASES)
def test_auxiliary_heads_are_dropped_on_purpose_only(case, rng):
    model = described(CASES[case](auxiliary_heads=True))
    with pytest.raises(ValueError, match="clone_model` would lose the auxiliary heads"):
        keras.models.clone_model(model)
    copy = type(model).from_config(model.get_config())
    assert len(copy.weights) == len(model.weights)
    # Keras's way loses the network's attributes; the error names ours.
    bare = keras.Model(model.input, model.output)
    with pytest.raises(ValueError, match=r"preprocessing; .* model.without_auxiliary_heads\(\)"):
        segment(bare, np.zeros((40, 33, 3), "uint8"))
    with pytest.raises(ValueError, match=r"outside\. .* model.without_auxiliary_heads\(\)"):
        export_model(bare, "model.onnx", "onnx")
    plain = model.without_auxiliary_heads()
    assert type(plain) is SegmentationModel
    assert description(plain) == description(model)
    assert plain.name == model.name
    # A single tensor, as of every network, which Keras asks for in the same form.
    assert keras.utils.is_keras_tensor(plain.input)
    assert len(plain.weights) == len(CASES[case]().weights) < len(model.weights)
    image = rng.normal(size=(1, 40, 33, 3)).astype("float32")
    np.testing.assert_array_equal(call(plain, image), call(model, image))


@pytest.mark.once
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_an_input_tensor_may_have_a_size_and_layers_before_it(case, deep, rng):
    image = keras.Input((40, 33, 3), name="photo")
    model = CASES[case](input_tensor=image, auxiliary_heads=deep)
    assert model.inputs[0] is image
    scaled = keras.layers.Rescaling(0.5, name="half")(image)
    before = CASES[case](input_tensor=scaled, auxiliary_heads=deep)
    assert before.inputs[0] is image
    assert before.get_layer("half").scale == 0.5
    before.set_weights(model.get_weights())
    pixels = rng.normal(size=(1, 40, 33, 3)).astype("float32")
    np.testing.assert_allclose(call(before, pixels), call(model, pixels / 2), atol=1e-5)


def test_input_tensors_that_are_none_are_refused():
    with pytest.raises(ValueError, match="`input_tensor` must be a Keras tensor of images"):
        CASES["canet"](input_tensor=np.zeros((1, 40, 40, 3)))
    with pytest.raises(ValueError, match=r"must be at least 32, .* Received: .*\(8, 40, 3\)"):
        CASES["canet"](input_tensor=keras.Input((8, 40, 3)))
    several = keras.layers.Add()([keras.Input((40, 40, 3)), keras.Input((40, 40, 3))])
    with pytest.raises(ValueError, match=r"must come from one input\. Received one from 2"):
        CASES["canet"](input_tensor=several)


@pytest.mark.once
@pytest.mark.parametrize("deep", [False, True])
def test_a_file_that_could_not_be_loaded_is_not_written(deep, tmp_path):
    model = CASES["ccnet"](auxiliary_heads=deep)
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match=r"Save a network as a `.keras`.*Received: .*model.h"):
            model.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    model.save_weights(tmp_path / "model.weights.h5")
    copy = CASES["ccnet"](auxiliary_heads=deep)
    copy.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("palette", [(300, 0, 0), (0, 0, 0)], r"from 0 to 255.*Received: \(300, 0, 0\)"),
        ("palette", ["#ff00", "#000000"], "Received: '#ff00'"),
        ("palette", [(0, 0, 0)], r"one entry for each of the 2 classes"),
        ("class_names", "ab", "must be a sequence of names. Received: 'ab'"),
    ],
)
def test_class_names_and_colors_are_checked(attribute, value, message):
    image = keras.Input((None, None, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(2, 1)(image))
    with pytest.raises(ValueError, match=message):
        setattr(model, attribute, value)
    model.palette = ["#ff8000", [0, 0, np.uint8(9)]]
    assert model.palette == ((255, 128, 0), (0, 0, 9))


# With auxiliary heads the same code runs: one evaluation, of two options, is enough.
@pytest.mark.parametrize(
    ("evaluation", "deep"),
    [
        ({"size": (48, 64)}, False),
        ({"scales": [0.75, 1.5]}, False),
        ({"flip": True, "size": [64, 48]}, True),
    ],
    ids=str,
)
def test_validation_measures_as_segment_does(evaluation, deep, rng):
    """`fit` and `evaluate` give the scores of `segment` with the same options, and only they."""
    model = CASES["attanet"](auxiliary_heads=deep)
    randomize(model, rng)
    # Small logits: only averages of probabilities are cut off where they are near 0.
    classifier = model.get_layer("head").classifier
    classifier.set_weights([weight / 8 for weight in classifier.get_weights()])
    metric = SegmentationScores(5)
    model.compile("sgd", WeightedCrossEntropy(), metrics=[metric])
    images = rng.integers(0, 256, (3, 72, 96, 3), dtype="uint8")
    masks = rng.integers(0, 5, (3, 72, 96)).astype("uint8")
    pixels = np.array(model.preprocessing(images))
    plain = model.evaluate(pixels, masks, verbose=0, batch_size=1, return_dict=True)
    before = call(model, pixels)
    model.evaluation = evaluation
    scores = model.evaluate(pixels, masks, verbose=0, batch_size=1, return_dict=True)
    results = [segment(model, image, **evaluation) for image in images]
    found = np.stack([result.class_map for result in results])
    assert scores["pixel_accuracy"] == pytest.approx(np.mean(found == masks), abs=1e-3)
    assert abs(scores["loss"] - plain["loss"]) > 1e-3
    likely = np.maximum([result.probabilities for result in results], 1e-7)
    want = -np.log(np.take_along_axis(likely, masks[..., None].astype(int), axis=-1)).mean()
    assert scores["loss"] == pytest.approx(want, rel=1e-3)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), before, atol=1e-4)
    model.evaluation = {}
    again = model.evaluate(pixels, masks, verbose=0, batch_size=1, return_dict=True)
    assert again["pixel_accuracy"] == pytest.approx(plain["pixel_accuracy"])


def test_an_evaluation_is_checked():
    model = CASES["canet"]()
    with pytest.raises(ValueError, match=r"sliding window is for `evaluate\(tile=\)`"):
        model.evaluation = {"tile": 64}
    with pytest.raises(ValueError, match="`scales` must be one or more positive"):
        model.evaluation = {"scales": [1.0, 0.0]}
