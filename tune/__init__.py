"""How we search: the only package that imports Ray and Optuna."""

import os

# Ray reads these when it is imported. A run's folder, its curves and its progress are ours to write, so Ray's own
# loggers stay off; and a search must not send usage reports nor change the workers' folder.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # resuming reads our files, not Ray's snapshot
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C must reach us: Ray would end the search as if it were over
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # what ASHA compares is made from a result, not in it
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
