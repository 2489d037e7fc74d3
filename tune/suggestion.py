"""A space's parameters in Optuna's form."""

from typing import Any

import optuna

from search_spaces.parameter import Choice, Int, Parameter


def suggest(trial: optuna.trial.Trial, key: str, parameter: Parameter) -> Any:
    """Optuna's form of a parameter; its bounds are inclusive, as ours are."""
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(key, parameter.values)
    if isinstance(parameter, Int):
        return trial.suggest_int(key, parameter.low, parameter.high, log=parameter.log)
    return trial.suggest_float(key, parameter.low, parameter.high, log=parameter.log)


def distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    """Optuna's form of a parameter outside a trial."""
    if isinstance(parameter, Choice):
        return optuna.distributions.CategoricalDistribution(parameter.values)
    if isinstance(parameter, Int):
        return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log)
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
