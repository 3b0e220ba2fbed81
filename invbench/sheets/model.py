"""Game `model`: what its reports, its gate and its matrix show and ask for."""

from invbench.numbers.columns import Column
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        "class_found",
        "class_found_by_classifier",
        "confidence",
        "psnr_to_mean",
        "psnr_to_nearest",
        "ssim_to_mean",
        "ssim_to_nearest",
        "weight_error",
        Column(
            "validation_error",
            "share of held-out pictures that the attacked model takes for another class, as it answers",
            better="lower",
            role="cost",
            least=0.0,
            most=1.0,
        ),
        "epsilon",
    ),
    item=Noun("class", "classes"),
    # Confidence is what the attacks maximise, and a picture of anybody is near to a face's mean: neither shows that
    # this class was read. That the picture is the class's does.
    evidence=(Evidence("class_found"), Evidence("class_found_by_classifier")),
    layout=Layout(
        metrics=(
            "class_found",
            "class_found_by_classifier",
            "confidence",
            "psnr_to_mean",
            "psnr_to_nearest",
            "validation_error",
        ),
        aside=(("epsilon", -1.0),),
    ),
    controls=("mean", "shuffled"),
    controls_by_default=("mean", "shuffled"),
    controls_by_name=(("mean", "class_found"), ("shuffled", "class_found")),
    place=2,
    legend=(
        "A target is a class of the attacked model.",
        "An answer nearer to one training picture than to the mean of its class would be more than a prototype: compare"
        " `psnr_to_nearest` with `psnr_to_mean`.",
    ),
)
