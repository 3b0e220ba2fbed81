"""Game `batch-membership`: what its reports and its gate show."""

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc, TruePositiveRate
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        Column(
            "round_auc",
            "area under the ROC curve, candidates of all rounds together",
            title="AUC",
            statistic=Auc(resampled="targets"),
        ),
        Column(
            "round_tpr_at_fpr_0.01",
            "members found at a hundredth of false alarms, candidates of all rounds together",
            title="TPR at FPR 0.01",
            statistic=TruePositiveRate(at=0.01, resampled="targets"),
        ),
        Column(
            "round_tpr_at_fpr_0.001",
            "members found at a thousandth",
            title="TPR at FPR 0.001",
            statistic=TruePositiveRate(at=0.001, resampled="targets"),
        ),
        "epsilon",
    ),
    item=Noun("candidate", "candidates"),
    evidence=(Evidence("round_auc"), Evidence("round_tpr_at_fpr_0.01")),
    layout=Layout(
        metrics=("round_auc", "round_tpr_at_fpr_0.01", "round_tpr_at_fpr_0.001"),
        controls=("labels",),
        aside=(("epsilon", -1.0),),
    ),
    controls=("labels", "noise"),
    controls_by_default=("labels",),
    controls_by_name=(("labels", "round_auc"), ("noise", "round_auc")),
    legend=(
        "A target is one round: as many candidates are behind its update as are not. Scores of all rounds are ranked"
        " together, and intervals draw whole rounds, whose candidates share an update.",
        "`labels` counts how many pictures of a candidate's label are in the batch and reads nothing else, so what is"
        " above it is read off the pictures. A true positive rate is empty where one false alarm is too many already.",
    ),
    place=2,
)
