"""Game `attribute`: what its reports and its gate show."""

from invbench.numbers.sheet import Layout, Noun, Sheet

SHEET = Sheet(
    columns=("accuracy", "macro_auc"),
    item=Noun("person", "people"),
    layout=Layout(metrics=("accuracy", "macro_auc"), controls=("mode", "imputation")),
    place=1,
)
