"""The types that cross the wall between attacker and truth.

A game makes `Observation`s, an attack answers with `Answer`s; each game has its own kinds, a file a game. An
observation holds what its threat model grants and nothing else; this folder imports nothing else of invbench, so an
answer cannot reach the client, the data or the scores through it.

Images are float tensors `(N, C, H, W)`. "Unit range" is [0, 1]; "normalised" is `(x - mean) / std` per
channel, the space in which the victim sees pictures.
"""

from invbench.observation._base import Answer, Failed, Json, Known, Labelled, Observation, Plain, Preparation, Tensors
from invbench.observation._counted import CountedPrior
from invbench.observation.attribute import (
    AttributeGuess,
    AttributeModel,
    AttributeObservation,
    AttributePrior,
    AttributePublic,
)
from invbench.observation.audit import AuditGuess, AuditObservation, AuditPublic
from invbench.observation.batch_membership import BatchMembershipObservation
from invbench.observation.batch_property import BatchPropertyObservation, PropertyGuess
from invbench.observation.extraction import ExtractionGuess, ExtractionObservation, ExtractionPublic, Tokenizer
from invbench.observation.informed import InformedGuess, InformedObservation, InformedPublic
from invbench.observation.membership import (
    Architecture,
    MembershipGuess,
    MembershipObservation,
    MembershipPublic,
    Released,
    log_probabilities,
)
from invbench.observation.model import Confidences, Inversion, ModelObservation, ModelPublic, Oracle, QueriesSpent
from invbench.observation.participation import ParticipationGuess, ParticipationObservation, ParticipationPublic
from invbench.observation.training_set import TrainingSetGuess, TrainingSetObservation, TrainingSetPublic
from invbench.observation.update import (
    DIVERGED,
    BatchStatistics,
    Guess,
    Public,
    PublicDefense,
    SharedRound,
    Update,
    UpdateObservation,
    has_own_weight,
    too_many,
)
from invbench.observation.update_attribute import UpdateAttributeObservation

__all__ = [
    "DIVERGED",
    "Answer",
    "Architecture",
    "AttributeGuess",
    "AttributeModel",
    "AttributeObservation",
    "AttributePrior",
    "AttributePublic",
    "AuditGuess",
    "AuditObservation",
    "AuditPublic",
    "BatchMembershipObservation",
    "BatchPropertyObservation",
    "BatchStatistics",
    "Confidences",
    "CountedPrior",
    "ExtractionGuess",
    "ExtractionObservation",
    "ExtractionPublic",
    "Failed",
    "Guess",
    "InformedGuess",
    "InformedObservation",
    "InformedPublic",
    "Inversion",
    "Json",
    "Known",
    "Labelled",
    "MembershipGuess",
    "MembershipObservation",
    "MembershipPublic",
    "ModelObservation",
    "ModelPublic",
    "Observation",
    "Oracle",
    "ParticipationGuess",
    "ParticipationObservation",
    "ParticipationPublic",
    "Plain",
    "Preparation",
    "PropertyGuess",
    "Public",
    "PublicDefense",
    "QueriesSpent",
    "Released",
    "SharedRound",
    "Tensors",
    "Tokenizer",
    "TrainingSetGuess",
    "TrainingSetObservation",
    "TrainingSetPublic",
    "Update",
    "UpdateAttributeObservation",
    "UpdateObservation",
    "has_own_weight",
    "log_probabilities",
    "too_many",
]
