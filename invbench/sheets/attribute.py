"""Game `attribute`: what its reports and its gate show."""

from invbench.numbers.sheet import Layout, Noun, Sheet

SHEET = Sheet(
    columns=("accuracy", "macro_auc", "error"),
    item=Noun("person", "people"),
    layout=Layout(
        metrics=("accuracy", "macro_auc"), controls=("mode", "imputation", "classifier"), aside=(("error", 0.0),)
    ),
    place=1,
)
