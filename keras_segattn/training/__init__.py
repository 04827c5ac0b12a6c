"""Training by a recipe: resumable runs, evaluation, and the command line of the examples."""

from keras_segattn.training.evaluation import (
    count_confusions,
    draw_predictions,
    evaluate,
    print_scores,
)
from keras_segattn.training.logit_adjustment import adjust_logits
from keras_segattn.training.options import TrainingOptions
from keras_segattn.training.run import train
from keras_segattn.training.run_folder import RunFolder
from keras_segattn.training.strategies import open_strategy

__all__ = [
    "RunFolder",
    "TrainingOptions",
    "adjust_logits",
    "count_confusions",
    "draw_predictions",
    "evaluate",
    "open_strategy",
    "print_scores",
    "train",
]
