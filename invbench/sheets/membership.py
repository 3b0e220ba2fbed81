"""Game `membership`: what its reports and its gate show."""

from collections.abc import Mapping

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc, BalancedAccuracy, TruePositiveRate
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

FEW = 0.01
"""The false positive rate at which a cell is judged: that of the papers' tables."""
LOW_AUC, MANY_TIMES = 0.6, 10


def remarks(found: Mapping[str, float]) -> list[str]:
    """That a low AUC is no safety, where it is none."""
    area, true = found.get("auc", 1.0), found.get("tpr_at_fpr_0.01", 0.0)
    if area >= LOW_AUC or true < MANY_TIMES * FEW:
        return []
    return [
        f"an AUC of {area:.3f} is low, and yet this is a leak: a false positive rate of 1 % finds {true:.1%} of members"
    ]


SHEET = Sheet(
    columns=(
        Column("auc", "area under the ROC curve", title="AUC", statistic=Auc()),
        Column(
            "balanced_accuracy", "mean of the shares of members and of others told right", statistic=BalancedAccuracy()
        ),
        Column("tpr_at_fpr_0.01", "members found at a hundredth of false alarms", statistic=TruePositiveRate(at=FEW)),
        Column("tpr_at_fpr_0.001", "members found at a thousandth", statistic=TruePositiveRate(at=0.001)),
        Column(
            "member_accuracy",
            "share of its members that the victim classifies right",
            role="cost",
            title="accuracy on members",
            least=0.0,
            most=1.0,
        ),
        Column(
            "other_accuracy",
            "share of the other candidates that the victim classifies right: what a defence costs",
            role="cost",
            title="accuracy on others",
            least=0.0,
            most=1.0,
        ),
        "epsilon",
    ),
    item=Noun("candidate", "candidates"),
    evidence=(Evidence("auc"), Evidence("tpr_at_fpr_0.01")),
    layout=Layout(
        metrics=("auc", "balanced_accuracy", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001"),
        aside=(("member_accuracy", 0.0), ("other_accuracy", 0.0), ("epsilon", -1.0)),
    ),
    controls=("unseen", "blind"),
    controls_by_default=("unseen", "blind"),
    controls_by_name=(("unseen", "auc"), ("blind", "auc")),
    legend=(
        "A target is a victim of its own, trained on a half of the same candidates. Protocol `released`: who"
        " attacks may ask the trained model as often as he likes.",
        "Half of the candidates are members; the control `unseen` is the same attack on a victim that saw none of them,"
        " `blind` knows the candidates and no model.",
        "No word of risk follows from an AUC alone: who is found at few false alarms is exposed, however few they are.",
        "Thresholds of balanced accuracy are chosen on shadow models, never on the victim's members.",
    ),
    place=2,
    remarks=remarks,
    caught="tpr_at_fpr_0.01",
)
