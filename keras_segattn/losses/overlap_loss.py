"""Base class of the losses based on region overlap."""

from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.losses.region_loss import RegionLoss
from keras_segattn.losses.replicas import sum_over_replicas


class OverlapLoss(RegionLoss):
    """One minus a score of the overlap of true and predicted regions.

    With the probabilities `p` and the labels `t`, 0 or 1, of the pixels that are not void,
    `hits = sum p * t`, `false_positives = sum p * (1 - t)`, `false_negatives = sum (1 - p) * t`. A
    class without true pixels counts only with `smooth`; its loss then falls to 0 as its false
    positives vanish. Without `smooth`, its score is 0 for any prediction.

    A subclass defines `score`.

    Args:
        smooth: Float, added to numerator and denominator. Defaults to `1.0`.
        **kwargs: The arguments of `RegionLoss`.
    """

    def __init__(self, smooth=1.0, **kwargs):
        super().__init__(**kwargs)
        check_at_least("smooth", smooth, 0)
        self.smooth = smooth

    def score(self, hits, false_positives, false_negatives):
        """Returns the score of each class, between 0 and 1."""
        raise NotImplementedError

    def class_losses(self, truth, logits, weights):
        p = self.probabilities(logits)
        axes = (1, 2) if self.per_image else (0, 1, 2)
        sums = ops.stack(
            [
                ops.sum(part * weights, axis=axes)
                for part in (p * truth, p * (1 - truth), (1 - p) * truth, ops.ones_like(truth))
            ]
        )
        if not self.per_image:
            sums = ops.expand_dims(sum_over_replicas(sums), axis=1)
        hits, false_positives, false_negatives, pixels = sums[0], sums[1], sums[2], sums[3]
        occurs = pixels if self.smooth else hits + false_negatives
        return 1.0 - self.score(hits, false_positives, false_negatives), occurs > 0

    def get_config(self):
        return {**super().get_config(), "smooth": self.smooth}
