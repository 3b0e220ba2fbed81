"""Game `update`: what its reports, its gate and its matrix show and ask for."""

from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=("psnr", "ssim", "lpips", "label_accuracy", "identified", "recovered", "exact", "epsilon", "limit_rero"),
    item=Noun("picture", "pictures"),
    # LPIPS finds any busy picture, noise included, closer to a photograph than a flat one: against `grey` and `mean`
    # alone an attack that read nothing can look certain.
    evidence=(Evidence("psnr"), Evidence("identified"), Evidence("lpips", beside="noise")),
    layout=Layout(
        metrics=("psnr", "ssim", "lpips"),
        spread="std",
        aside=(
            ("label_accuracy", 1.0),
            ("identified", 0.0),
            ("recovered", 1.0),
            ("exact", 0.0),
            ("epsilon", -1.0),
            ("limit_rero", 1.0),
        ),
    ),
    controls=("grey", "mean", "noise"),
    controls_by_default=("grey", "mean"),
    controls_by_name=(("grey", "psnr"), ("mean", "psnr"), ("noise", "psnr")),
    place=0,
    silent=r"the update of (\d+) of \d+ targets is (?:zero|not finite)",
)
