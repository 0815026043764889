"""What the student is trained to do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.1
ANCHOR, POSITIVE, NEGATIVE = 0.6, 0.5, 0.25
"""Shares of the class from which a patch asks, is alike, is not unlike."""
BACKGROUND_WEIGHT = 0.3
AVERAGE_TEMPERATURE = 0.06


def patch_contrast(features: Tensor, shares: Tensor, background: int | None = None) -> Tensor:
    """Supervised contrast between all patches of a group, as a ranking.

    For a patch that is mostly in one class, each patch at least half in that class should be more
    alike than all those hardly in it: the cross-entropy of one positive against all negatives
    (InfoNCE, van den Oord et al. 2018), averaged over positives. Positives do not compete with
    each other, other than in supervised contrastive learning (Khosla et al. 2020): what counts
    in use is the order. Each class weighs the same, however many patches it fills.

    Parameters
    ----------
    features : Tensor, shape (patches, width)
    shares : Tensor, shape (patches, classes)
        Share of each class in each patch.
    background : int, optional
        A class of what was not annotated; its patches weigh less, as they are not of one sort.
    """
    purity, classes = shares.max(1)
    counts = (shares >= POSITIVE).sum(0).float()
    anchors = (purity >= ANCHOR) & (counts[classes] >= 3)
    unit = functional.normalize(features, dim=-1)
    logits = unit[anchors] @ unit.T / TEMPERATURE
    of_class = shares.T[classes[anchors]]
    negatives = logits.masked_fill(of_class >= NEGATIVE, -1e4).logsumexp(1, keepdim=True)
    positive = of_class >= POSITIVE
    positive[torch.arange(len(positive)), torch.where(anchors)[0]] = False
    each = functional.softplus(negatives - logits).masked_fill(~positive, 0).sum(1)
    each = each / positive.sum(1).clamp(min=1)
    weight = 1 / counts[classes[anchors]].clamp(min=4)
    if background is not None:
        weight = torch.where(classes[anchors] == background, BACKGROUND_WEIGHT * weight, weight)
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def distillation(student: Tensor, predicted: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two losses towards the teacher: of single patches, and of relations between patches.

    Parameters
    ----------
    student : Tensor, shape (images, patches, width)
    predicted : Tensor, shape (images, patches, teacher's width)
        The student's features through the linear head.
    teacher : Tensor, shape (images, patches, teacher's width)
        Centred features of the teacher.
    """
    aim = functional.normalize(teacher, dim=-1)
    own = functional.normalize(student, dim=-1)
    single = (1 - (functional.normalize(predicted, dim=-1) * aim).sum(-1)).mean()
    within = (own @ own.transpose(1, 2) - aim @ aim.transpose(1, 2)).pow(2).mean()
    own, aim = own[:, ::8].flatten(0, 1), aim[:, ::8].flatten(0, 1)
    across = (own @ own.T - aim @ aim.T).pow(2).mean()
    return single, within + across


def relation_agreement(student: Tensor, average: Tensor) -> Tensor:
    """How far the student's likeness of patches is from that of its own moving average.

    Both have seen the same patches, in different light. Each patch's likenesses to all others
    are made a distribution, sharper for the average (as in DINO, Caron et al. 2021), and
    compared by cross-entropy.

    Parameters
    ----------
    student, average : Tensor, shape (patches, width)
    """
    own, aim = functional.normalize(student, dim=-1), functional.normalize(average, dim=-1)
    itself = torch.eye(len(own), dtype=torch.bool)
    logits = (own @ own.T / TEMPERATURE).masked_fill(itself, -1e4)
    target = (aim @ aim.T / AVERAGE_TEMPERATURE).masked_fill(itself, -1e4).softmax(1)
    return -(target * logits.log_softmax(1)).sum(1).mean()
