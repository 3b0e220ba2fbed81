"""Game `participation`: what its reports and its gate show."""

from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet

SHEET = Sheet(
    columns=("rounds_right", "column_right", "update_error", "psnr", "epsilon"),
    item=Noun("client", "clients"),
    evidence=(Evidence("rounds_right"), Evidence("update_error"), Evidence("psnr")),
    layout=Layout(metrics=("rounds_right", "column_right", "update_error"), aside=(("psnr", -1.0), ("epsilon", -1.0))),
    controls=("counts", "mean", "noise"),
    controls_by_default=("counts", "mean"),
    controls_by_name=(
        ("counts", "rounds_right"),
        ("counts", "update_error"),
        ("mean", "psnr"),
        ("noise", "rounds_right"),
    ),
    legend=(
        "A target is a federation of many rounds: of each the server sees the sum of its clients' updates, and of each"
        " client how often it took part in every window of rounds.",
        "`counts` knows no sum of updates for who took part: a client is taken to be there in all rounds of a window in"
        " which it was in more than half, and its update to be the mean of all.",
        "PSNR, where the attack reads pictures, is of each picture; `mean` is the mean of pictures not attacked.",
    ),
    place=3,
)
