"""Train the built-in model: `python -m training.train --data FOLDER --out FOLDER --steps 8000`.

FOLDER of `--data` holds drawings/ and, if there are any, photographs/, annotated/ and unlabelled/.
A run that was stopped goes on where it was. On one computer it gives the same model to the last
bit as one that was not: batches come from the seed and the number of the step, and the state of
torch's generator, which scales the positions in the encoder, is kept.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import DINOv3ViTModel

from training.annotated import BACKGROUND
from training.batches import Photographs, Shards, Unlabelled
from training.losses import distillation, patch_contrast, relation_agreement
from training.model import MovingAverage, Student, student_config

WARM_UP = 200
MAY_CHANGE = {"data", "out", "steps", "decay", "threads", "log_every", "save_every"}
"""Options that may be others when a run goes on. Other steps or threads end in another model."""


class Trainer:
    """The state of a run, and one step of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.config = student_config(options.layers, options.width)
        self.student = Student(self.config).train()
        if options.start:
            self.student.encoder = DINOv3ViTModel.from_pretrained(options.start).float().train()
        self.average = MovingAverage(self.student)
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(),
            lr=options.rate,
            weight_decay=0.04,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.step, self.minutes = 0, 0.0
        self.small = Shards(options.data / "drawings", "small")
        self.large = Shards(options.data / "drawings", "large")
        sources = learned_from(options.data)
        self.real = Shards(options.data / "annotated", "real") if "annotated" in sources else None
        unlabelled = options.data / "unlabelled" / "unlabelled-0000.images.npy"
        self.unlabelled = Unlabelled(unlabelled) if "unlabelled" in sources else None
        photographs = options.data / "photographs"
        self.photographs = Photographs(photographs) if "photographs" in sources else None

    def learning_rate(self) -> float:
        """A short rise, a plateau, and a fall to zero in the last `decay` steps.

        So a run can be made longer without being done anew: go on from a state of its plateau.
        """
        rise = min(1.0, (self.step + 1) / WARM_UP)
        fall = min(1.0, (self.options.steps - self.step) / self.options.decay)
        return float(self.options.rate * min(rise, fall))

    def train_step(self) -> dict[str, float]:
        """One batch: forward, backward, moving average; the losses by name."""
        rng = np.random.default_rng((self.options.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        large = self.step % 4 == 3 and len(self.large)
        groups = [self.small.draw(rng) for _ in range(self.options.groups - bool(large))]
        backgrounds: list[int | None] = [None] * len(groups)
        if self.real and self.step % self.options.real_every == 0:
            groups.append(self.real.draw(rng))
            backgrounds.append(BACKGROUND)
        images = [g[0] for g in groups]
        if self.photographs:
            photographs, aims = self.photographs.draw(rng, self.options.photographs)
            images.append(photographs)
        agreeing = self.step % 2 and self.step > self.options.unlabelled_from
        unlabelled = self.unlabelled if agreeing else None
        if unlabelled:
            plain, relit = unlabelled.draw(rng)
            images.append(relit)
        features = self.student.patches(torch.cat(images)).split([len(i) for i in images])
        parts = list(zip(features[: len(groups)], groups, backgrounds, strict=True))
        if large:
            group = self.large.draw(rng)
            parts.append((self.student.patches(group[0]), group, None))
        losses = {"contrast": torch.zeros(()), "projected": torch.zeros(())}
        for patches, (_, shares), background in parts:
            flat, alike = patches.flatten(0, 1), shares.flatten(0, 2)
            losses["contrast"] += patch_contrast(flat, alike, background) / len(parts)
            projected = self.student.projection(flat)
            losses["projected"] += 0.5 * patch_contrast(projected, alike, background) / len(parts)
        if self.photographs:
            seen = features[len(groups)]
            predicted = self.student.teacher_head(seen)
            single, relation = distillation(seen, predicted, aims)
            losses["teacher"], losses["relations"] = single, 2 * relation
        losses["agreement"] = torch.zeros(())
        if unlabelled:
            with torch.no_grad():
                average = self.average.student.patches(plain)
            agreement = relation_agreement(features[-1].flatten(0, 1), average.flatten(0, 1))
            losses["agreement"] = self.options.agreement * agreement
        self.optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.average.update(self.student, self.step)
        return {name: loss.item() for name, loss in losses.items()}

    def save(self, folder: Path) -> None:
        """Write the state of the run, first beside the old one."""
        part = folder / "state.part"
        state = {
            "student": self.student.state_dict(),
            "average": self.average.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "random": torch.get_rng_state(),
        }
        torch.save(state, part)
        part.replace(folder / "state.pt")

    def resume(self, folder: Path) -> None:
        """Go on from the state in a folder, if there is one."""
        if not (folder / "state.pt").exists():
            return
        state = torch.load(folder / "state.pt", weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.student.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.minutes = state["step"], state["minutes"]
        torch.set_rng_state(state["random"])


def learned_from(data: Path) -> list[str]:
    """Which of the sources of images are there, whole."""
    marks = {
        "drawings": "small-*.images.npy",
        "photographs": "photographs.features.npy",
        "annotated": "real-0000.images.npy",
        "unlabelled": "unlabelled-0000.images.npy",
    }
    return [name for name, mark in marks.items() if any((data / name).glob(mark))]


def check_same_run(folder: Path, options: dict[str, object]) -> None:
    """Raise SystemExit where a run in the folder learned otherwise than these options say."""
    if not (folder / "state.pt").exists():
        return
    before = json.loads((folder / "options.json").read_text())
    if "learned_from" not in before:
        raise SystemExit(
            f"The run in {folder} was begun by an older version; name another folder, or remove "
            "this one to begin anew."
        )
    for name in sorted(options.keys() - MAY_CHANGE):
        if before.get(name) != options[name]:
            raise SystemExit(
                f"The run in {folder} was begun with {name}={before.get(name)}, and would go on "
                f"with {options[name]}; name another folder, or remove this one to begin anew."
            )


def main() -> None:
    """Train, log, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument(
        "--decay", type=int, default=1500, help="steps at the end in which it falls"
    )
    parser.add_argument("--start", type=Path, help="a model to go on from, in place of none")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--groups", type=int, default=3, help="groups of drawings in a batch")
    parser.add_argument("--photographs", type=int, default=4, help="photographs in a batch")
    parser.add_argument("--real-every", type=int, default=2, help="annotated group every n steps")
    parser.add_argument("--agreement", type=float, default=0.1, help="weight of that loss")
    parser.add_argument(
        "--unlabelled-from", type=int, default=1000, help="before it the average knows too little"
    )
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--save-every", type=int, default=500)
    options = parser.parse_args()
    if options.groups < 2:
        parser.error("--groups must be 2 or more: one of them is a large one in every fourth step")
    options.out.mkdir(parents=True, exist_ok=True)
    written = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    written["learned_from"] = learned_from(options.data)
    check_same_run(options.out, written)
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    trainer.resume(options.out)
    (options.out / "options.json").write_text(json.dumps(written, indent=1))
    if trainer.step >= options.steps:
        print(f"{options.out} has all {trainer.step} steps; more --steps make it longer.")
        # The model may be older than the state: the disk was full, or the run was killed between.
        trainer.average.save(options.out / "model")
    recent: list[dict[str, float]] = []
    start = time.monotonic() - 60 * trainer.minutes
    while trainer.step < options.steps:
        recent.append(trainer.train_step())
        trainer.minutes = (time.monotonic() - start) / 60
        if trainer.step % options.log_every == 0:
            means = {k: round(float(np.mean([r[k] for r in recent])), 4) for k in recent[0]}
            line = {"step": trainer.step, "minutes": round(trainer.minutes, 1), **means}
            with (options.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)
            recent = []
        if trainer.step % options.save_every == 0 or trainer.step == options.steps:
            trainer.save(options.out)
            trainer.average.save(options.out / "model")


if __name__ == "__main__":
    main()
