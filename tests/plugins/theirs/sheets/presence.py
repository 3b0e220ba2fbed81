"""Game `presence`: what its reports and its gate show."""

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc, TruePositiveRate
from invbench.numbers.sheet import Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        Column("auc", "area under the ROC curve", title="AUC", statistic=Auc()),
        Column(
            "tpr_at_fpr_0.1", "share of members found at a tenth of false alarms", statistic=TruePositiveRate(at=0.1)
        ),
    ),
    item=Noun("candidate", "candidates"),
    layout=Layout(metrics=("auc", "tpr_at_fpr_0.1")),
    controls=("unseen",),
    legend=("Half of the candidates are members.",),
)
