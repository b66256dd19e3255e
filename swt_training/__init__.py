"""Self-play, replay, targets, learner, trainer daemon."""
