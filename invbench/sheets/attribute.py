"""Game `attribute`: what its reports and its gate show."""

from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=("accuracy", "macro_auc", "error"),
    item=Noun("person", "people"),
    # Where one value is far commoner than the rest, nobody's likeliest value changes and ranks do: CYP2C9.
    evidence=(Evidence("accuracy"), Evidence("macro_auc")),
    layout=Layout(
        metrics=("accuracy", "macro_auc"), controls=("mode", "imputation", "classifier"), aside=(("error", 0.0),)
    ),
    legend=(
        "A target is a person.",
        "No control sees an output: `mode` answers with the commonest value, `imputation` with the likeliest one given"
        " the person's other attributes, `classifier` is a logistic regression on these, where rows train a model.",
    ),
    place=1,
)
