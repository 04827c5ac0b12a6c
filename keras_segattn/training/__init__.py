"""Training with a recipe: resumable runs and evaluation."""

from keras_segattn.training.average_precision import evaluate_instances
from keras_segattn.training.evaluation import (
    count_confusions,
    draw_predictions,
    evaluate,
    has_labels,
    print_scores,
)
from keras_segattn.training.instance_run import train_instances
from keras_segattn.training.logit_adjustment import adjust_logits
from keras_segattn.training.options import TrainingOptions
from keras_segattn.training.run import train
from keras_segattn.training.run_folder import RunFolder
from keras_segattn.training.strategies import open_strategy
from keras_segattn.training.submission import write_submission

__all__ = [
    "RunFolder",
    "TrainingOptions",
    "adjust_logits",
    "count_confusions",
    "draw_predictions",
    "evaluate",
    "evaluate_instances",
    "has_labels",
    "open_strategy",
    "print_scores",
    "train",
    "train_instances",
    "write_submission",
]
