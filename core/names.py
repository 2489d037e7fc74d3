"""Names that several modules share, said once: tasks, choices, metric keys and the order of landmarks."""

from enum import StrEnum


class Task(StrEnum):
    """What a head predicts."""

    GENDER = "gender"
    LANDMARKS = "landmarks"


class Architecture(StrEnum):
    """The four models of the paper (sections II.D-G)."""

    GENDER = "gender"
    LANDMARKS = "landmarks"
    MULTITASK = "multitask"
    ATTENTION = "attention"


TASKS: dict[Architecture, tuple[Task, ...]] = {
    Architecture.GENDER: (Task.GENDER,),
    Architecture.LANDMARKS: (Task.LANDMARKS,),
    Architecture.MULTITASK: (Task.GENDER, Task.LANDMARKS),
    Architecture.ATTENTION: (Task.GENDER, Task.LANDMARKS),
}


class LandmarkLoss(StrEnum):
    """The five regression losses of the paper (equations 9-13)."""

    L1 = "l1"
    L2 = "l2"
    SMOOTH_L1 = "smooth_l1"
    HUBER = "huber"
    WING = "wing"


class Optimizer(StrEnum):
    """The optimisers that the paper compares (table I)."""

    ADAM = "adam"
    ADAMAX = "adamax"
    ADAGRAD = "adagrad"
    RMSPROP = "rmsprop"


class LossWeighting(StrEnum):
    """How two tasks' losses are weighed: ``core.weighting`` says what each does."""

    FIXED = "fixed"
    UNCERTAINTY = "uncertainty"
    DWA = "dwa"


class LandmarkHead(StrEnum):
    """How landmarks are predicted: by a complete head's last layer, or as the mean place of a heatmap."""

    REGRESSION = "regression"
    HEATMAP = "heatmap"


class AttentionKind(StrEnum):
    """What the attention model has before each head: ``core.attention`` says what each does."""

    SELF = "self"
    SELF_RMS = "self_rms"
    SE = "se"
    CBAM = "cbam"


SELF_ATTENTION = (AttentionKind.SELF, AttentionKind.SELF_RMS)


class Schedule(StrEnum):
    """How the learning rate goes over the epochs: it stays, or falls along half a cosine towards 0."""

    CONSTANT = "constant"
    COSINE = "cosine"


class LandmarkStart(StrEnum):
    """Where the landmark head's predictions begin: torch's initialisation, or the training set's mean face."""

    TORCH = "torch"
    MEAN_FACE = "mean_face"


class Precision(StrEnum):
    """Arithmetic of the network; ``auto`` is resolved once per search by what the device does well."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")  # CelebA's order and naming
LEFT_EYE, RIGHT_EYE = 0, 1
MIRRORED = (1, 0, 2, 4, 3)  # the landmark that each one becomes in a mirrored face

WOMAN, MAN = 0, 1  # the positive class is man, as in the data
GENDERS = ("woman", "man")
CROP = 224  # side of the square crop in pixels

GENDER_METRICS = ("gender_ce", "gender_accuracy", "gender_precision", "gender_recall", "gender_f1", "gender_auc")
LANDMARK_METRICS = (
    "landmark_l1",
    "nme_pct",
    "nme_std_pct",
    "fr10_pct",
    "fr10_face_pct",
    "ced_auc100",
    "ced_auc10",
)
TASK_METRICS: dict[Task, tuple[str, ...]] = {Task.GENDER: GENDER_METRICS, Task.LANDMARKS: LANDMARK_METRICS}
RELATIVE_ERROR = "relative_error"
AREA99 = "operating_area99"  # the paper's operating-curve area, which stops at a threshold of 99 %
PARETO = "pareto"  # the objective of a search with two goals, and these are they
GOALS = ("val_gender_ce", "val_nme_pct")
METRICS = ("loss", *GENDER_METRICS, *LANDMARK_METRICS, RELATIVE_ERROR)

HIGHER_IS_BETTER = frozenset(
    {
        "gender_accuracy",
        "gender_precision",
        "gender_recall",
        "gender_f1",
        "gender_auc",
        "ced_auc100",
        "ced_auc10",
    }
)

MEAN_FACE = "mean face / prior"  # the row of every table that says what knowing nothing scores
