"""Game `update`: what its reports, its gate and its matrix show and ask for."""

from invbench.numbers.sheet import Bound, Evidence, Layout, Noun, Sheet

LIMITS = ("limit_psnr_prior", "limit_psnr", "limit_psnr_dfil")
"""Empty where the update has no noise, and then shown nowhere."""

SHEET = Sheet(
    columns=(
        "psnr",
        "ssim",
        "lpips",
        "label_accuracy",
        "label_overlap",
        "identified",
        "recovered",
        "exact",
        "d_snr",
        "d_snr_honest",
        *LIMITS,
        "epsilon",
        "limit_rero",
    ),
    item=Noun("picture", "pictures"),
    # LPIPS finds any busy picture, noise included, closer to a photograph than a flat one: against `grey` and `mean`
    # alone an attack that read nothing can look certain.
    evidence=(Evidence("psnr"), Evidence("identified"), Evidence("lpips", beside="noise"), Evidence("label_overlap")),
    layout=Layout(
        metrics=("psnr", *LIMITS, "ssim", "lpips"),
        spread="std",
        aside=(
            ("label_accuracy", 1.0),
            ("label_overlap", -1.0),
            ("identified", 0.0),
            ("recovered", 1.0),
            ("exact", 0.0),
            ("d_snr", -1.0),
            ("d_snr_honest", -1.0),
            ("epsilon", -1.0),
            ("limit_rero", 1.0),
        ),
    ),
    controls=("grey", "mean", "noise"),
    controls_by_default=("grey", "mean"),
    controls_by_name=(("grey", "psnr"), ("mean", "psnr"), ("noise", "psnr")),
    legend=(
        "A target is what the server sees of one round: one client's update of its batch of pictures, or the mean of"
        " several clients'.",
    ),
    place=0,
    bounds=(
        Bound(
            leak="psnr",
            limit="limit_psnr_prior",
            slack=1.0,
            decibels=True,
            words=(
                "the least mean squared error, were the update linear in its pictures, around the true ones, and these"
                " Gaussian like others of their label. Neither is quite so, so it can be beaten: by what clamping to"
                " [0, 1] cuts off where pixels are black or white, by curvature, by a better prior. It is an average"
                " over pictures like these, so a control may be above it on pictures that are nearer to their mean. An"
                " attack that has a prior may be above the limits of unbiased attackers"
            ),
        ),
    ),
    answers=("psnr", "identified", "lpips"),
    silent=r"the update of (\d+) of \d+ targets is (?:zero|not finite)",
)
