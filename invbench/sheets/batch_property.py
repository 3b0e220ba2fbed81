"""Game `batch-property`: what its reports and its gate show."""

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        Column(
            "property_auc",
            "area under the ROC curve, rounds whose batch has the property against those whose batch has not",
            title="AUC",
            statistic=Auc(resampled="targets"),
        ),
        "epsilon",
    ),
    item=Noun("round", "rounds"),
    evidence=(Evidence("property_auc"),),
    layout=Layout(metrics=("property_auc",), controls=("labels",), aside=(("epsilon", -1.0),)),
    controls=("labels", "noise"),
    controls_by_default=("labels",),
    controls_by_name=(("labels", "property_auc"), ("noise", "property_auc")),
    legend=(
        "A target is one round: a share of its batch has a value of the sensitive attribute (`property_share`), or"
        " nobody has. Values take turns, and scores of all rounds are ranked together.",
        "`labels` is a classifier on how often each label is in the batch, taught on batches of the attacker's own"
        " rows: what is above it is read off more than the labels.",
    ),
    place=2,
)
