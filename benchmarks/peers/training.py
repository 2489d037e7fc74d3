"""The training of one two-task model as tutorials teach it: a dataset of image files, torchvision's VGG-16, a loop.

Frozen layers get no gradients and nothing else: every batch passes all of them. What fixes the numbers (the start, the
order of faces, dropout) is drawn from the seeds that the job gives, so that results can be compared to rounding.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms
from torchvision.models import vgg16

Job = dict[str, Any]
"""``faces``: path, gender and landmarks (5, 2; fractions of the crop) of each; ``train`` and ``validation``: rows of
them; ``features``: a file of VGG-16's convolution weights; ``blocks``, ``width``, ``lambda1``, ``lambda2``,
``batch_size``, ``epochs``, ``loader_processes``; ``start_seed`` and ``epoch_seeds``; ``trials``: optimiser and learning
rate of each."""

BLOCK_ENDS = (0, 5, 10, 17, 24, 31)  # in vgg16().features
OPTIMIZERS = {"adam": optim.Adam, "adamax": optim.Adamax, "adagrad": optim.Adagrad, "rmsprop": optim.RMSprop}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


class FaceImages(Dataset[tuple[Tensor, Tensor, int]]):
    """Image, landmarks and gender of some faces, decoded when they are asked for."""

    def __init__(self, faces: Sequence[dict[str, Any]]) -> None:
        self.faces = faces
        self.transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(**IMAGENET),
            ]
        )

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        face = self.faces[index]
        with Image.open(face["path"]) as image:
            return self.transform(image.convert("RGB")), torch.tensor(face["landmarks"]), face["gender"]


class InOrder(Sampler[int]):
    """Faces in the order of one epoch."""

    def __init__(self, faces: int) -> None:
        self.order = np.arange(faces)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)


class TwoTasks(nn.Module):
    """VGG-16's convolutions with a head for gender and one for landmarks."""

    def __init__(self, features: Path, blocks: int, width: int, start_seed: int) -> None:
        super().__init__()
        self.features = vgg16(weights=None).features
        self.features.load_state_dict(torch.load(features, weights_only=True))
        for parameter in self.features[: BLOCK_ENDS[blocks]].parameters():
            parameter.requires_grad = False
        torch.manual_seed(start_seed)
        self.gender = head(width, 2)
        self.landmarks = head(width, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 2) and landmarks (B, 5, 2)."""
        x = self.features(images).flatten(1)
        return self.gender(x), self.landmarks(x).view(-1, 5, 2)


def head(width: int, outputs: int) -> nn.Sequential:
    """Three fully connected layers."""
    return nn.Sequential(
        nn.Linear(512 * 7 * 7, width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(width, outputs),
    )


def train(job: Job, optimizer_name: str, lr: float) -> Iterator[dict[str, float]]:
    """Train one trial, an epoch a step: its number, the time at its end, losses, AUC and NME in percent."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # float32 as the others have it
    train_faces, validation_faces = ([job["faces"][row] for row in job[part]] for part in ("train", "validation"))
    order = InOrder(len(train_faces))
    # Loaders draw a seed for their processes; from torch's own generator it would shift dropout.
    options = {"num_workers": job["loader_processes"], "generator": torch.Generator()}
    train_loader = DataLoader(FaceImages(train_faces), job["batch_size"], sampler=order, **options)
    validation_loader = DataLoader(FaceImages(validation_faces), job["batch_size"], **options)
    model = TwoTasks(job["features"], job["blocks"], job["width"], job["start_seed"]).to(device)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS[optimizer_name](learned, lr=lr)
    for epoch, seed in enumerate(job["epoch_seeds"], 1):
        torch.manual_seed(seed)
        order.order = np.random.default_rng(seed).permutation(len(train_faces))
        model.train()
        total = 0.0
        for images, landmarks, gender in train_loader:
            optimizer.zero_grad()
            loss = joint_loss(model(images.to(device)), landmarks.to(device), gender.to(device), job)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            optimizer.step()
            total += loss.item() * len(gender)
        found = validate(model, validation_loader, device, job)
        yield {"epoch": epoch, "time": time.time(), "train_loss": total / len(train_faces), **found}


def joint_loss(outputs: tuple[Tensor, Tensor], landmarks: Tensor, gender: Tensor, job: Job) -> Tensor:
    """Cross-entropy and mean absolute error, weighted."""
    ce = nn.functional.cross_entropy(outputs[0], gender)
    l1 = nn.functional.l1_loss(outputs[1], landmarks)
    loss: Tensor = job["lambda1"] * ce + job["lambda2"] * l1
    return loss


@torch.no_grad()
def validate(model: TwoTasks, loader: DataLoader[Any], device: torch.device, job: Job) -> dict[str, float]:
    """Scores over the whole validation part."""
    model.eval()
    batches = [(*model(images.to(device)), landmarks, gender) for images, landmarks, gender in loader]
    parts = zip(*batches, strict=True)
    logits, predicted, landmarks, gender = (torch.cat([tensor.cpu() for tensor in part]) for part in parts)
    eyes = (landmarks[:, 0] - landmarks[:, 1]).norm(dim=-1)
    nme = ((predicted - landmarks).norm(dim=-1) / eyes[:, None]).mean()
    return {
        "val_loss": float(joint_loss((logits, predicted), landmarks, gender, job)),
        "val_gender_auc": float(roc_auc_score(gender, logits[:, 1] - logits[:, 0])),
        "val_nme_pct": 100 * float(nme),
    }
