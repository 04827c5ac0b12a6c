"""The recipe `own_folder`, fitted to images and a machine."""

import numpy as np
import pytest

from keras_segattn.command import own_recipe
from keras_segattn.command.machine import Machine, find_machine
from keras_segattn.command.own_recipe import (
    choose_backbone,
    describe_size,
    fit_own_recipe,
    fit_warmup,
)
from keras_segattn.data import SegmentationDataset
from keras_segattn.training.checks import void_shares

pytestmark = pytest.mark.once


class Images(SegmentationDataset):
    """Images of one size."""

    class_names = ("a", "b")

    def __init__(self, count, size, channels=3):
        self.count, self.size, self.channels = count, size, channels

    def __len__(self):
        return self.count

    def read(self, index):
        return np.zeros((*self.size, self.channels), "uint8"), np.zeros(self.size, "uint8")


def fitted(monkeypatch, data, gpu=False, gigabytes=64, **options):
    machine = Machine("a machine", gpu, gigabytes << 30)
    monkeypatch.setattr(own_recipe, "find_machine", lambda: machine)
    return fit_own_recipe({"train": data}, weights=None, **options)


def test_crops_and_batches_fit_the_images_and_the_memory(monkeypatch):
    recipe, _ = fitted(monkeypatch, Images(200, (360, 480)), gpu=True)
    assert (recipe.crop, recipe.batch_size, recipe.evaluation) == ((352, 480), 16, {})
    assert recipe.learning_rate == 1e-3
    assert "a machine, 64 GiB: batches of 16 with crops of 352x480" in describe_size(recipe, 200)
    small, _ = fitted(monkeypatch, Images(200, (360, 480)), gpu=True, gigabytes=8)
    assert 2 <= small.batch_size < 16
    assert small.learning_rate < recipe.learning_rate
    heavy, _ = fitted(monkeypatch, Images(200, (360, 480)), gpu=True, network="CCNet")
    assert heavy.batch_size < 16
    few, _ = fitted(monkeypatch, Images(9, (360, 480)), gpu=True)
    assert few.batch_size == 2
    given, _ = fitted(monkeypatch, Images(200, (360, 480)), crop=(64, 64), batch_size=5)
    assert (given.crop, given.batch_size) == ((64, 64), 5)


def test_large_photos_are_reduced(monkeypatch):
    recipe, said = fitted(monkeypatch, Images(60, (3000, 4000)))
    assert recipe.evaluation == {"size": [384, 512]}
    assert recipe.scale == (0.064, 0.26)
    assert max(recipe.crop) <= 320
    # Crops are as full as with small photos.
    small, _ = fitted(monkeypatch, Images(60, (375, 500)))
    shares = [
        void_shares(one, size).mean() for one, size in ((recipe, (3000, 4000)), (small, (375, 500)))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
    assert any("resized to 384x512" in line for line in said)


def test_other_bands_get_no_color_jitter(monkeypatch):
    assert fitted(monkeypatch, Images(9, (64, 64), channels=4))[0].color_jitter == 0
    assert fitted(monkeypatch, Images(9, (64, 64)))[0].color_jitter > 0


def test_the_warmup_fits_into_a_short_training(monkeypatch):
    recipe, _ = fitted(monkeypatch, Images(200, (64, 64)))
    assert fit_warmup(recipe, 200).warmup_steps == 100
    assert fit_warmup(own_recipe.dataclasses.replace(recipe, epochs=1), 40).warmup_steps == 0


def test_weights_that_cannot_be_had_are_told(monkeypatch):
    def unavailable(name):
        raise ConnectionError(f"no connection for {name}")

    monkeypatch.setattr(own_recipe, "imagenet_weights", unavailable)
    backbone, weights, said = choose_backbone()
    assert (backbone, weights) == ("mobilenet_v2", None)
    assert "starts from random weights, which costs accuracy" in said
    assert "keras-segattn[imagenet]" in said and "no connection for mobilenet_v2" in said
    assert choose_backbone("light")[:2] == ("light", None)


def test_the_start_of_the_backbone_is_told():
    for backbone, weights, said in (
        (None, None, "the backbone is mobilenet_v2, with random weights"),
        (None, "mine.npz", "the backbone is mobilenet_v2, with weights from mine.npz"),
        ("keras_hub/x", "imagenet", "the backbone is keras_hub/x, with the weights of its preset"),
    ):
        assert choose_backbone(backbone, weights)[1:] == (None, said)
    # A pretrained backbone changes slowly, wherever its weights come from.
    for weights, factors in ((None, None), ("mine.npz", {"mobilenet_v2": 0.25})):
        recipe, _ = fit_own_recipe({"train": Images(9, (64, 64))}, weights=weights)
        assert recipe.rate_factors == factors


def test_the_machine_is_found():
    assert find_machine().memory > 1 << 28
