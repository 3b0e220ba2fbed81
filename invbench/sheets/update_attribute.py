"""Game `update-attribute`: what its reports and its gate show."""

from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=("accuracy", "macro_auc", "epsilon"),
    item=Noun("person", "people"),
    evidence=(Evidence("accuracy"), Evidence("macro_auc")),
    layout=Layout(
        metrics=("accuracy", "macro_auc"), controls=("mode", "imputation", "classifier"), aside=(("epsilon", -1.0),)
    ),
    controls=("noise",),
    controls_by_name=(("noise", "accuracy"), ("noise", "macro_auc")),
    legend=(
        "A target is a person, whose row is the first of one round's batch.",
        "No control sees an update: `mode` answers with the commonest value, `imputation` with the likeliest one given"
        " the person's other attributes, `classifier` is a logistic regression on these and on the label, where labels"
        " are granted.",
    ),
    place=2,
)
