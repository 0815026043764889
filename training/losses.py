"""What the student is trained to do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.1
BACKGROUND_WEIGHT = 0.3
AVERAGE_TEMPERATURE = 0.06


def patch_contrast(features: Tensor, shares: Tensor, background: int | None = None) -> Tensor:
    """Supervised contrast between all patches of a group (Khosla et al. 2020), with soft labels.

    Two patches are alike as far as they share classes: the sum over classes of the product of
    their shares. Each class weighs the same, however many patches it fills.

    Parameters
    ----------
    features : Tensor, shape (patches, width)
    shares : Tensor, shape (patches, classes)
        Share of each class in each patch.
    background : int, optional
        A class of what was not annotated; its patches weigh less, as they are not of one sort.
    """
    unit = functional.normalize(features, dim=-1)
    logits = unit @ unit.T / TEMPERATURE
    itself = torch.eye(len(logits), dtype=torch.bool)
    logits = logits.masked_fill(itself, -1e4)
    log_likeness = logits - torch.logsumexp(logits, 1, keepdim=True)
    alike = (shares @ shares.T).masked_fill(itself, 0)
    totals = shares.sum(0)
    class_weight = torch.where(totals > 1.5, 1 / totals.clamp(min=4), 0)
    if background is not None:
        class_weight[background] *= BACKGROUND_WEIGHT
    weight = shares.pow(2) @ class_weight
    each = -(log_likeness * alike).sum(1) / alike.sum(1).clamp(min=1e-3)
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
