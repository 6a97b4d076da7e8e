"""Sequential fine-tuning: nothing is done against forgetting. The lower bound of every continual method."""

from __future__ import annotations

from baselines.incremental import Incremental


class Finetune(Incremental):
    """Each dataset is learned by ordinary Dice and cross-entropy; where it labels nothing, earlier structures become background."""

    taught = False
