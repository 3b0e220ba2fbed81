"""Game `extraction`: what its reports, its gate and its matrix show and ask for."""

from invbench.numbers.columns import Column
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        "exposure",
        "extracted",
        "probability",
        Column(
            "bits_per_byte",
            "how surprising public text is that the model was not trained on: what a defence costs",
            better="lower",
            unit="bits",
            role="cost",
            least=0.0,
        ),
        "epsilon",
    ),
    item=Noun("canary", "canaries"),
    # The probability of a secret is the model's, whatever the attack: it does not show that this attack read anything.
    evidence=(Evidence("exposure"), Evidence("extracted")),
    layout=Layout(
        metrics=("exposure", "extracted", "probability"),
        controls=("never",),
        aside=(("bits_per_byte", 0.0), ("epsilon", -1.0)),
    ),
    controls=("never",),
    controls_by_default=("never",),
    controls_by_name=(("never", "exposure"),),
    legend=(
        "A target is a canary: a secret in the training text.",
        "`never` is the same attack on a model whose text held no canary: an exposure of 1.44 bits on average.",
    ),
    place=4,
    silent=r"no canary stands in the training text: nothing of (\d+) targets",
)
