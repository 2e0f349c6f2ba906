"""The configuration: one typed model, one loader, one schema."""

from cisweave.config.load import load_config, load_settings, read_contexts, read_databases, read_tracks
from cisweave.config.model import Config
from cisweave.config.sections import (
    AnnotationSettings,
    AttributionSettings,
    CallingSettings,
    ChromatinSettings,
    ClosestSettings,
    ExpressionSettings,
    LociSettings,
    MotifDatabase,
    NetworkSettings,
    PredictSettings,
    ProfileSettings,
    SimulateSettings,
    TrainerSettings,
    TrainingSettings,
    TruthSettings,
    VariantSettings,
)

__all__ = [
    "AnnotationSettings",
    "AttributionSettings",
    "CallingSettings",
    "ChromatinSettings",
    "ClosestSettings",
    "Config",
    "ExpressionSettings",
    "LociSettings",
    "MotifDatabase",
    "NetworkSettings",
    "PredictSettings",
    "ProfileSettings",
    "SimulateSettings",
    "TrainerSettings",
    "TrainingSettings",
    "TruthSettings",
    "VariantSettings",
    "load_config",
    "load_settings",
    "read_contexts",
    "read_databases",
    "read_tracks",
]
