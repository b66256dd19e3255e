"""Search, frozen-network evaluator, rollout, checkpoint loader, inference engine."""
