"""Game `training-set`: what its reports and its gate show."""

from invbench.numbers.columns import Column
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        Column(
            "training_found",
            "training pictures that are, of the whole data set, the nearest to an answer, of each network",
            unit="pictures",
            decimals=1,
            tolerance=1.0,
            title="training found",
            least=0.0,
        ),
        Column(
            "unseen_found",
            "the same of as many pictures that the network never saw: what is found by chance",
            better="lower",
            unit="pictures",
            decimals=1,
            tolerance=1.0,
            role="cost",
            title="unseen found",
            least=0.0,
        ),
        "psnr",
        "ssim",
    ),
    item=Noun("picture", "pictures"),
    evidence=(Evidence("training_found"),),
    layout=Layout(metrics=("training_found", "unseen_found", "psnr", "ssim"), controls=("drawn", "untrained")),
    controls=("mean", "drawn", "untrained"),
    controls_by_default=("mean", "drawn"),
    controls_by_name=(("drawn", "training_found"), ("untrained", "training_found")),
    legend=(
        "A target is a network, trained on pictures of its own.",
        "An answer finds the picture of the whole data set that correlates most with it; PSNR and SSIM are of all"
        " training pictures, one that was not found scored as the mean of the pictures not trained on.",
        "Control `drawn` answers with as many pictures of the data set, drawn at random.",
    ),
    place=4,
)
