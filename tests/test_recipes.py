"""The recipes are whole and buildable, and the command line changes the fields it names."""

import dataclasses
import inspect
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn import applications, recipes
from keras_segattn.command import flags
from keras_segattn.command.flags import argument_parser, in_flags, options_of, recipe_of
from keras_segattn.data import DATASETS, Compose, RoadScenes
from keras_segattn.recipes import RECIPES
from keras_segattn.training import (
    RunFolder,
    TrainingOptions,
    adjust_logits,
    evaluate,
)
from keras_segattn.training.build import (
    build_augmentation,
    build_loss,
    build_model,
)
from keras_segattn.training.checks import void_shares, warn_of_void_crops
from keras_segattn.training.optimization import add_weight_decay, build_optimizer
from tests.applications.cases import with_cases

DATA = RoadScenes("train", 4, size=(32, 48))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_can_be_built(recipe):
    constructor = getattr(applications, recipe.network)
    inspect.signature(constructor).bind(classes=11, **recipe.network_arguments)
    layers = [keras.layers.Dense(1, name=name) for name in recipe.rate_factors or ["body"]]
    model = keras.Sequential([keras.Input((2,)), *layers])
    optimizer = build_optimizer(recipe, model, steps_per_epoch=300)
    assert optimizer.get_config()
    # Eight pixels, of which few are kept.
    logits = np.zeros((1, 2, 4, 11), "float32")
    losses = build_loss(recipe, DATA)
    assert isinstance(losses, list) == (recipe.auxiliary_loss is not None)
    for loss in losses if isinstance(losses, list) else [losses]:
        assert np.isfinite(float(loss(np.zeros((1, 2, 4), "uint8"), logits)))
    image, mask = DATA.read(0)
    small = dataclasses.replace(recipe, crop=(40, 56))
    image, mask = build_augmentation(small, None)(image, mask, np.random.default_rng(0))
    assert mask.shape == (40, 56)
    assert json.dumps(dataclasses.asdict(recipe))
    fields = {field.name for field in dataclasses.fields(recipe)}
    assert set(recipe.our_choices) <= fields
    assert recipe.dataset in (*DATASETS, "own")
    # What is said to be ours is set, and a length that the paper does not give is marked.
    assert all(
        getattr(recipe, field) is not None for field in recipe.our_choices if field != "crop"
    )


def test_class_weights_are_raised_to_their_power():
    recipe = dataclasses.replace(RECIPES["canet1_camvid"], class_weights_power=0.5)
    enet = np.array(DATA.class_weights("enet"))
    config = build_loss(recipe, DATA).get_config()
    np.testing.assert_allclose(config["class_weights"], np.sqrt(enet), rtol=1e-6)
    with pytest.raises(ValueError, match="class_weights_power"):
        dataclasses.replace(recipe, class_weights_power=-1.0)


def test_recipes_hold_the_figures_of_the_papers():
    canet, cbam = RECIPES["canet2_cityscapes"], RECIPES["cross_cbam_l_camvid"]
    assert (canet.batch_size, canet.learning_rate, canet.weight_decay) == (8, 1e-4, 1e-4)
    assert canet.crop == (769, 769)
    assert (cbam.batch_size, cbam.steps, cbam.end_learning_rate) == (24, 10_000, 1e-4)
    assert cbam.scale == (0.5, 2.5)
    # Section 3.4: alpha * cross-entropy of the main output + (1 - alpha) * focal loss.
    assert (cbam.loss, cbam.auxiliary_loss) == ("weighted_cross_entropy", "focal")
    assert sum(cbam.loss_weights) == 1
    ccnet, attanet = RECIPES["ccnet_ade20k"], RECIPES["attanet_resnet18_cityscapes"]
    assert ccnet.short_sides == (300, 375, 450, 525, 600)
    assert (attanet.batch_size, attanet.steps, attanet.weight_decay) == (16, 200_000, 5e-4)
    assert attanet.scales == (0.75, 1.0, 1.5, 1.75, 2.0)
    # A sixteenth of all pixels of a batch, as on each GPU of the authors: a share, which follows
    # other batch sizes and crops.
    for recipe in RECIPES.values():
        if recipe.loss == "ohem":
            assert recipe.loss_arguments["min_kept"] == 1 / 16
            assert "fraction" in recipe.our_choices["loss_arguments"]


def test_schedule_ends_with_the_training():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    by_epoch = build_optimizer(dataclasses.replace(RECIPES["canet1_camvid"], epochs=4), model, 10)
    rates = [float(by_epoch._learning_rate(step)) for step in (0, 9, 10, 39)]
    np.testing.assert_allclose(rates, [1e-4, 1e-4, 1e-4 * 0.75**0.9, 1e-4 * 0.25**0.9], rtol=1e-5)
    by_step = RECIPES["cross_cbam_m_camvid"]
    assert by_step.epochs_of(steps_per_epoch=15) == 667
    optimizer = build_optimizer(by_step, model, steps_per_epoch=15)
    assert float(optimizer._learning_rate(667 * 15)) == pytest.approx(1e-4)


@pytest.mark.once
def test_rates_reach_the_layers_that_they_name():
    recipe = RECIPES["attanet_light_cityscapes"]
    model = build_model(recipe, DATA)
    assert model.class_names == DATA.class_names
    assert model.palette == DATA.palette
    names = {part for weight in model.trainable_weights for part in weight.path.split("/")}
    assert set(recipe.rate_factors) <= names


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_loss_does_not_hold_the_decay(policy):
    """A batch that is void everywhere has no loss, in training and out of it; kernels shrink."""
    recipe = RECIPES["attanet_light_cityscapes"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 1, name="body")(image)
        outputs = keras.layers.Conv2D(11, 1, name="head", dtype="float32")(x)
        model = keras.Model(image, outputs)
        chosen = dataclasses.replace(recipe, rate_factors=None, warmup_steps=0)
        model.compile(build_optimizer(chosen, model, 1), build_loss(chosen, DATA))
    finally:
        keras.config.set_dtype_policy(before)
    for layer in model.layers[1:]:
        layer.bias.assign(np.ones(layer.bias.shape))
    add_weight_decay(model, chosen)
    weights = model.get_weights()
    void = np.ones((2, 8, 8, 3), "float32"), np.full((2, 8, 8), 255, "uint8")
    assert float(model.evaluate(*void, verbose=0)) == 0
    assert float(model.train_on_batch(*void)) == 0
    for weight, old in zip(model.weights, weights, strict=True):
        factor = 1 - 0.01 * 5e-4 if "kernel" in weight.name else 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), factor * old, rtol=1e-6)


def test_color_jitter_comes_with_the_recipe_that_has_it():
    assert isinstance(build_augmentation(RECIPES["attanet_df2_ade20k"], None), Compose)
    assert not isinstance(build_augmentation(RECIPES["ccnet_cityscapes"], None), Compose)


def test_void_crops_are_told_with_a_figure():
    recipe = RECIPES["cross_cbam_m_camvid"]
    # The mean of 1 - min(s / 2, 1)^2 for s from 0.5 to 2.5, and its value at s = 0.7.
    void = void_shares(recipe, (360, 480))
    assert void.mean() == pytest.approx(1 - ((2**3 - 0.5**3) / 12 + 0.5) / 2, abs=1e-3)
    assert np.quantile(void, 0.9) == pytest.approx(1 - 0.35**2, abs=1e-3)
    with pytest.warns(UserWarning, match=r"of 720x960 .* has 360x480. .* 42% void .* least 88%"):
        warn_of_void_crops(recipe, RoadScenes("train", 1, size=(360, 480)))
    warn_of_void_crops(recipe, RoadScenes("train", 1, size=(720, 960)))
    warn_of_void_crops(RECIPES["ccnet_camvid"], RoadScenes("train", 1, size=(360, 480)))


def test_recipes_start_from_what_their_papers_do():
    assert RECIPES["canet1_camvid"].backbone_weights == "imagenet"
    assert RECIPES["ccnet_cityscapes"].backbone_weights == "imagenet"
    assert RECIPES["attanet_resnet18_cityscapes"].backbone_weights == "imagenet"
    assert RECIPES["attanet_light_cityscapes"].backbone_weights is None
    # "Only ShuffleNetV2 and ResNet are pretrained on ImageNet."
    assert RECIPES["attanet_df2_cityscapes"].backbone_weights is None
    parser = argument_parser("", "canet1_camvid")
    assert options_of(parser.parse_args([])).backbone_weights == "recipe"
    arguments = parser.parse_args(["--backbone-weights", "none"])
    assert options_of(arguments).backbone_weights is None


def test_another_backbone_comes_with_its_imagenet_weights():
    light = RECIPES["attanet_light_camvid"]
    assert light.with_backbone("resnet18").backbone_weights == "imagenet"
    assert light.with_backbone("keras.applications/MobileNet").backbone_weights == "imagenet"
    # Of which there are none; a recipe that starts from ImageNet says so before it trains.
    assert light.with_backbone("df1").backbone_weights is None
    assert RECIPES["canet1_camvid"].with_backbone("stdc1").backbone_weights == "imagenet"
    # It brings its weights.
    preset = RECIPES["canet1_camvid"].with_backbone("keras_hub/resnet_18_imagenet")
    assert preset.backbone_weights is None
    deep = dataclasses.replace(
        light, network="CCNet", network_arguments={"backbone": "light", "stem": "deep"}
    )
    assert deep.with_backbone("resnet18").backbone_weights is None
    recipe = parse("--backbone", "resnet18", "--epochs", "2", recipe="attanet_light_camvid")
    assert dataclasses.replace(recipe, epochs=None, steps=light.steps) == light.with_backbone(
        "resnet18"
    )


def test_a_recipe_keeps_the_weights_of_its_own_backbone():
    """The recipe of a folder starts from random weights if no weights are available."""
    without = dataclasses.replace(RECIPES["canet1_camvid"], backbone_weights=None)
    arguments = argument_parser("", "canet1_camvid").parse_args(["--backbone", "mobilenet_v2"])
    assert recipe_of(arguments, without) == without
    own = RECIPES["own_folder"].with_backbone("resnet18")
    assert own.rate_factors == {"resnet18": 0.25}


def parse(*arguments, recipe="canet1_camvid"):
    return recipe_of(argument_parser("", recipe).parse_args(arguments))


def test_recipes_are_measured_as_their_papers_do():
    half = {"size": (512, 1024)}
    assert RECIPES["attanet_df2_cityscapes"].evaluation == half
    assert RECIPES["cross_cbam_m_cityscapes"].evaluation == half
    assert RECIPES["cross_cbam_l2_cityscapes"].evaluation == {"size": (768, 1536)}
    assert RECIPES["canet2_cityscapes_1024x512"].evaluation == half
    assert RECIPES["canet2_cityscapes_1024x512"].scale == (0.25, 1.0)
    assert RECIPES["canet1_cityscapes_713"].crop == (713, 713)
    assert RECIPES["canet3_cityscapes"].evaluation == {}
    assert RECIPES["attanet_resnet101_ade20k"].steps == 250_000
    assert "dataset" not in RECIPES["attanet_resnet50_ade20k"].our_choices
    assert "dataset" in RECIPES["attanet_resnet18_ade20k"].our_choices
    ccnet = RECIPES["ccnet_cityscapes"]
    assert (len(ccnet.evaluation["scales"]), ccnet.evaluation["flip"]) == (6, True)
    assert ccnet.validation_options == {}
    assert RECIPES["attanet_df2_cityscapes"].validation_options == half
    # A head that only the authors' code has is no setting of the paper.
    for recipe in RECIPES.values():
        if recipe.network in ("CCNet", "AttaNet"):
            assert "authors' code" in recipe.our_choices["network_arguments"]


def test_the_size_of_the_evaluation_is_an_option():
    size = ("--evaluation-size", "64", "96")
    recipe = parse(*size, "--recipe", "ccnet_camvid")
    assert recipe.evaluation == recipe.validation_options == {"size": (64, 96)}
    recipe = parse(*size, recipe="ccnet_ade20k")
    assert (recipe.evaluation["flip"], recipe.validation) == (True, {"size": (64, 96)})


def test_options_replace_fields():
    recipe = parse("--steps", "50", "--learning-rate", "0.5", "--crop", "32", "48")
    assert (recipe.steps, recipe.epochs, recipe.learning_rate) == (50, None, 0.5)
    assert tuple(recipe.crop) == (32, 48)
    recipe = parse("--recipe", "cross_cbam_m_camvid", "--epochs", "3", "--backbone", "stdc2")
    assert (recipe.steps, recipe.epochs) == (None, 3)
    assert recipe.network_arguments == {"backbone": "stdc2", "auxiliary_heads": True}
    recipe = parse("--scale", "1", "1", recipe="attanet_resnet18_ade20k")
    assert (recipe.scales, tuple(recipe.scale)) == (None, (1, 1))
    with pytest.raises(ValueError, match="not both"):
        parse("--steps", "5", "--epochs", "5")
    with pytest.raises(SystemExit):
        parse("--recipe", "ccnet_cityscapes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lamb"}, "`optimizer` must be one of .* Received: 'lamb'"),
        ({"steps": 5}, "epochs=300, steps=5"),
        ({"auxiliary_loss": "focal"}, "`auxiliary_loss` needs network_arguments="),
        ({"loss_weights": (1, 0.4)}, "`loss_weights` needs network_arguments="),
        ({"epochs": 0}, "`epochs` must be at least 1. Received: 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1. Received: 0"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive. Received: 0.0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be at least 0. Received: nan"),
        ({"end_learning_rate": 1.0}, "`end_learning_rate` must be at most `learning_rate`"),
        ({"weight_decay": float("inf")}, "`weight_decay` must be finite. Received: inf"),
        ({"warmup_steps": -1}, "`warmup_steps` must be at least 0. Received: -1"),
        ({"crop": (0, 32)}, r"`crop` must be two positive sides. Received: \(0, 32\)"),
        ({"scale": (2.0, 0.5)}, r"`scale` must be .* Received: \(2.0, 0.5\)"),
        ({"evaluation": {"crop": 64}}, r"An evaluation may contain only .*'overlap'\).*'crop': 64"),
        ({"evaluation": {"tile": 64, "size": (64, 64)}}, "pass only one of them. Received"),
        ({"evaluation": {"overlap": 0.5}}, "`overlap` requires `tile`"),
        ({"validation": {"tile": (64, 64)}}, r"may contain only \('size', 'scales', 'flip'\)"),
        ({"validation": {"size": (16, 64)}}, r"`size` must be .* Received: \(16, 64\)"),
        ({"auxiliary_loss": "dize"}, "`auxiliary_loss` must be one of .* Received: 'dize'"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPES["canet1_camvid"], **changes)


def test_epochs_are_validated_without_the_sliding_window_of_the_evaluation():
    recipe = RECIPES["canet1_camvid"]
    windows = {"scales": (1.0, 1.5), "tile": (769, 769), "overlap": 0.5}
    sliding = dataclasses.replace(recipe, evaluation=windows)
    assert sliding.evaluation == windows
    assert sliding.validation_options == {"scales": (1.0, 1.5)}
    given = dataclasses.replace(sliding, validation={"flip": True})
    assert given.validation_options == {"flip": True}


def test_unknown_recipes_are_refused():
    with pytest.raises(ValueError, match=r"Unknown recipe 'canet9'.*'canet1_camvid'"):
        recipes.get("canet9")


def test_a_run_goes_on_only_as_it_was_started(tmp_path):
    run, recipe, data = RunFolder(tmp_path / "run"), RECIPES["canet1_camvid"], {"train": DATA}
    run.open(recipe, TrainingOptions(), data)
    # Without a checkpoint nothing is lost by starting anew.
    run.open(recipe, TrainingOptions(seed=1), data, resume=False)
    run.checkpoints.mkdir()
    (run.checkpoints / "epoch-0002.keras").touch()
    with pytest.raises(ValueError, match=r"contains a run\. Resume with `resume=True`"):
        run.open(recipe, TrainingOptions(seed=1), data, resume=False)
    run.open(recipe, TrainingOptions(seed=1, strategy="mirrored", tensorboard=True), data)
    other = dataclasses.replace(recipe, epochs=5)
    with pytest.raises(ValueError, match="epochs was 300, is 5; seed was 1, is 2"):
        run.open(other, TrainingOptions(seed=2), data)
    with pytest.raises(ValueError, match=r"train data was .*32x48 pixels, is .*4 samples.*64x48"):
        run.open(recipe, TrainingOptions(seed=1), {"train": RoadScenes("train", 4, size=(64, 48))})
    recorded = json.loads((run.path / "config.json").read_text())
    assert recorded["options"] == dataclasses.asdict(TrainingOptions(seed=1))


@pytest.mark.parametrize("name", ["config.json", "checkpoints/best.keras", "model.keras"])
def test_a_run_replaces_nothing_of_other_origin(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"mine": 1}')
    with pytest.raises(ValueError, match=f"{name} does not belong to a run"):
        RunFolder(tmp_path).open(RECIPES["canet1_camvid"], TrainingOptions(), {"train": DATA})
    assert path.read_text() == '{"mine": 1}'


@pytest.mark.parametrize(
    "options",
    [
        {"mixed_precision": "float8"},
        {"jit_compile": "on"},
        {"ema_momentum": 1.0},
        {"early_stopping_patience": 0},
        {"gradient_accumulation_steps": 1},
        {"virtual_devices": 0},
        {"strategy": "many"},
    ],
    ids=str,
)
def test_impossible_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {value!r}"):
        TrainingOptions(**options)


def test_flags_become_options():
    arguments = argument_parser("", "canet1_camvid").parse_args(
        ["--jit", "off", "--accumulate", "2", "--ema", "0.9", "--sync-batch-norm", "--seed", "3"]
    )
    assert options_of(arguments) == TrainingOptions(
        jit_compile=False,
        gradient_accumulation_steps=2,
        ema_momentum=0.9,
        sync_batch_norm=True,
        seed=3,
    )
    defaults = argument_parser("", "canet1_camvid").parse_args([])
    assert options_of(defaults) == TrainingOptions()


@pytest.mark.parametrize(
    ("message", "translated"),
    [
        (
            "Resume with `resume=True`, or choose another `folder`.",
            "--resume, or choose another --",
        ),
        ("`jit_compile=False` or `jit_compile='auto'`", "--jit off or --jit auto"),
        ("`gradient_accumulation_steps` and `fit`", "--accumulate and `fit`"),
        ("`strategy='data_parallel'`", "--strategy data_parallel"),
        ("Use `batch_size` 8", "Use --batch-size 8"),
    ],
)
def test_the_command_line_speaks_of_flags(message, translated):
    assert translated in in_flags(message)


def test_the_library_does_not_speak_of_flags():
    folder = Path(flags.__file__).parents[1]
    files = [*(folder / "training").rglob("*.py"), *(folder / "recipes").rglob("*.py")]
    texts = {path.name: path.read_text() for path in files}
    assert len(texts) > 8
    flag = re.compile(r"""[\s`(]--[a-z]|"--[a-z-]+ """)
    assert not {name for name, text in texts.items() if flag.search(text)}


def test_log_is_cut_to_the_checkpoints(tmp_path):
    run = RunFolder(tmp_path)
    assert run.truncate_log(3) == []
    run.log.write_text("epoch,loss,val_mean_iou\n0,3.0,0.1\n1,2.0,0.2\n2,1.0,0.3\n3,0.")
    assert [row["epoch"] for row in run.truncate_log(2)] == ["0", "1"]
    assert run.log.read_text().splitlines()[-1] == "1,2.0,0.2"
    assert run.truncate_log(0) == []
    assert not run.log.exists()


def test_evaluation_counts_by_hand():
    """A model that tells the class from the red of the image, where every second mask is void."""

    class Coded(RoadScenes):
        class_names = ("a", "b", "c")

        def read(self, index):
            mask = np.random.default_rng(index).integers(0, 3, (32, 40), dtype="uint8")
            image = np.stack([mask] * 3, axis=-1)
            return image, np.where(np.arange(40) % 2, mask, np.uint8(255))

    image = keras.Input((None, None, 3))
    red = image[..., :1] * 255
    logits = keras.layers.Concatenate()([-abs(red - value) for value in range(3)])
    model = applications.SegmentationModel(image, logits, from_logits=True)
    model.preprocessing = lambda images: np.asarray(images, "float32") / 255
    result = evaluate(model, Coded("train", 2))
    assert result["iou"] == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert result["pixel_accuracy"] == 1

    class Mislabeled(Coded):
        def read(self, index):
            image, mask = super().read(index)
            return image, np.where(mask == 2, np.uint8(9), mask)

    with pytest.raises(ValueError, match=r"classes from 0 to 2, or 255 for void\. Received 9"):
        evaluate(model, Mislabeled("train", 2))

    class Floats(Coded):
        def read(self, index):
            image, mask = super().read(index)
            return image.astype("float32"), mask

    # Neither trained on nor evaluated.
    data = Floats("train", 2)
    for use in (lambda: data.to_py_dataset(1)[0], lambda: evaluate(model, data)):
        with pytest.raises(ValueError, match=r"must return a uint8 image .* sample train_00000"):
            use()
    assert "image of float32 and a mask of uint8; both" in data.verify()[0]
    with pytest.raises(ValueError, match="has 3 classes, but the data set has 11"):
        evaluate(model, RoadScenes("train", 2))


@with_cases
def test_logits_are_those_of_a_world_without_the_weights(make, rng, tmp_path):
    model = make()
    image = rng.normal(size=(1, 32, 40, 3)).astype("float32")
    before = model.predict_on_batch(image)
    class_weights = [1.0, 4.0, 0.5, 2.0, 1.0]
    adjust_logits(model, class_weights, strength=0.5)
    want = before - 0.5 * np.log(class_weights)
    np.testing.assert_allclose(model.predict_on_batch(image), want, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(image), want, atol=1e-4)


def test_logits_are_adjusted_by_one_weight_per_class():
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(3)(image))
    with pytest.raises(ValueError, match="each of the 3 classes"):
        adjust_logits(model, [1.0, 2.0])
    with pytest.raises(ValueError, match="does not end in a classifier"):
        adjust_logits(keras.Model(image, image[:, :3]), [1, 1, 1])
