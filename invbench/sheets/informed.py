"""Game `informed`: what its reports and its gate show."""

from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=("matched", "epsilon", "limit_rero"),
    item=Noun("training", "trainings"),
    evidence=(Evidence("matched"),),
    layout=Layout(metrics=("matched",), aside=(("limit_rero", 1.0), ("epsilon", -1.0))),
    controls=("blind",),
    controls_by_default=("blind",),
    controls_by_name=(("blind", "matched"),),
    legend=(
        "The attacker knows every training picture but one, sees every step, and asks which of the candidates that one"
        " was; `blind` is what a guess finds.",
        "`limit (ReRo)` is how often anybody could name it at most, by the defences' guarantee.",
    ),
    place=3,
)
