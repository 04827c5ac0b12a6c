"""Arguments that another argument leaves without effect."""

import inspect
import re

import pytest

from keras_segattn import applications
from keras_segattn.applications.unused_arguments import refuse_unused_arguments
from keras_segattn.layers import CrissCrossAttention
from tests.applications.cases import with_cases

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("name", "arguments", "needed"),
    [
        ("AttaNet", {"auxiliary_weight": 0.5}, "auxiliary_heads=True"),
        ("CrossCBAM", {"auxiliary_weight": 0.0}, "auxiliary_heads=True"),
        (
            "AttaNet",
            {"normalize_attention": False, "attention": None},
            "attention='vertical' or attention='horizontal'",
        ),
        ("CCNet", {"recurrence": 3, "attention": None}, "attention='criss_cross'"),
        ("CCNet", {"recurrence": 1, "attention": "non_local"}, "attention='criss_cross'"),
        (
            "CCNet",
            {"use_gamma": False, "attention": CrissCrossAttention()},
            "attention='criss_cross' or attention='non_local'",
        ),
        (
            "CrossCBAM",
            {"dilations": [1, 2], "context": "convolution"},
            "context='se_aspp' or context='aspp'",
        ),
        ("CrossCBAM", {"reduction": 2, "fusion": "addition"}, "fusion='ccbam'"),
        ("CrossCBAM", {"channel_activation": None, "fusion": None}, "fusion='ccbam'"),
    ],
)
def test_an_argument_without_effect_is_refused(name, arguments, needed):
    argument, value = next(iter(arguments.items()))
    message = f"`{argument}` has an effect only with {needed}. Received: {argument}={value!r} with "
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(applications, name)(**arguments)


@with_cases
@pytest.mark.parametrize(
    ("argument", "value", "other"),
    [
        ("classifier_activation", "softmax", {"include_top": False}),
        ("task", "multilabel", {"include_top": False}),
        ("backbone_weights", "imagenet", {"weights": "trained.weights.h5"}),
    ],
)
def test_arguments_of_all_networks_without_effect_are_refused(make, argument, value, other):
    with pytest.raises(ValueError, match=f"Omit `{argument}`, or change `{next(iter(other))}`"):
        make(**{argument: value}, **other)


def test_a_new_classifier_requires_a_classifier():
    with pytest.raises(ValueError, match="`new_classifier` has an effect only with include_top"):
        applications.CANet(weights="camvid", new_classifier=True, include_top=False)


def test_defaults_and_arguments_with_an_effect_are_accepted():
    @refuse_unused_arguments(rate=("head", (True,)), sizes=("kind", ("a", None)))
    def network(*, head=False, rate=1.0, kind="b", sizes=(1, 3)):
        return head, rate, kind, sizes

    assert network(rate=1.0, sizes=[1, 3]) == (False, 1.0, "b", [1, 3])
    assert network(rate=2.0, head=True) == (True, 2.0, "b", (1, 3))
    assert network(sizes=(1, 2), kind=None) == (False, 1.0, None, (1, 2))
    assert list(inspect.signature(network).parameters) == ["head", "rate", "kind", "sizes"]
    with pytest.raises(ValueError, match=r"rate=2.0 with head=False"):
        network(rate=2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'rates'"):
        network(rates=2.0)


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["AttaNet", "CrossCBAM"])
def test_weights_of_auxiliary_heads_are_finite_and_not_negative(name, weight):
    message = f"`auxiliary_weight` must be a finite number from 0 up. Received: {weight}"
    with pytest.raises(ValueError, match=message):
        getattr(applications, name)(auxiliary_heads=True, auxiliary_weight=weight)


def test_width_of_the_first_deconvolution_is_positive():
    with pytest.raises(ValueError, match=r"`up_channels` must be at least 1\. Received: 0"):
        applications.CANet(up_channels=0)
