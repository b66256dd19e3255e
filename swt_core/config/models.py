"""The configuration's shape: every key with its description, unit and bound, by section.

One YAML per area under ``config/`` mirrors these models; `swt_core.config.loading` composes them.
"""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from swt_core.config.data_sections import DataConfig, FeaturesConfig
from swt_core.config.judging_sections import ValidationConfig
from swt_core.config.learning_sections import ModelConfig, TrainerAlarmsConfig, TrainingConfig
from swt_core.config.process_sections import PoolConfig, ProcessLimitsConfig
from swt_core.config.section import Section
from swt_core.config.trading_sections import LiveConfig, SearchConfig, TradingConfig, TradingSafetyConfig

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


class SWTConfig(Section):
    """The whole configuration."""

    data: DataConfig = DataConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    trading: TradingConfig = TradingConfig()
    validation: ValidationConfig = ValidationConfig()
    live: LiveConfig = LiveConfig()
    trading_safety: TradingSafetyConfig = TradingSafetyConfig()
    process_limits: ProcessLimitsConfig = ProcessLimitsConfig()
    trainer_alarms: TrainerAlarmsConfig = TrainerAlarmsConfig()
    pool: PoolConfig = PoolConfig()

    @field_validator("trading_safety")
    @classmethod
    def _an_order_fits_the_limit(
        cls, safety: TradingSafetyConfig, info: ValidationInfo
    ) -> TradingSafetyConfig:
        trading = info.data.get("trading")
        if trading is not None and trading.units > safety.max_position_units:
            raise ValueError(
                f"max_position_units {safety.max_position_units} is below trading.units {trading.units}: "
                "every order would break the limit; raise the limit or lower the order size"
            )
        return safety
