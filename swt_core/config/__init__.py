"""Frozen configuration: one model per area, loaded with the origin of each value."""

from swt_core.config.models import (
    DataConfig,
    FeaturesConfig,
    LiveConfig,
    ModelConfig,
    PoolConfig,
    ProcessLimitsConfig,
    SearchConfig,
    SWTConfig,
    TradingConfig,
    TradingSafetyConfig,
    TrainerAlarmsConfig,
    TrainingConfig,
    ValidationConfig,
)

__all__ = [
    "DataConfig",
    "FeaturesConfig",
    "LiveConfig",
    "ModelConfig",
    "PoolConfig",
    "ProcessLimitsConfig",
    "SWTConfig",
    "SearchConfig",
    "TradingConfig",
    "TradingSafetyConfig",
    "TrainerAlarmsConfig",
    "TrainingConfig",
    "ValidationConfig",
]
