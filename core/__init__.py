"""The science of Tandem: faces, models, losses, metrics and one training session. Never Ray or Optuna."""
