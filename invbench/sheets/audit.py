"""Game `audit`: what its reports and its gate show."""

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc
from invbench.numbers.sheet import Evidence, Layout, Noun, Sheet


def _bound(name: str, supposed: str) -> Column:
    """A lower bound on epsilon, and of which mechanisms it is one."""
    told = f"lower bound on epsilon at the protocol's delta, from one run: {supposed}"
    return Column(name, told, better="lower", decimals=3, tolerance=0.1, role="limit", least=0.0)


SHEET = Sheet(
    columns=(
        Column("auc", "area under the ROC curve", title="AUC", statistic=Auc()),
        _bound("audited_epsilon", "whatever the mechanism (Steinke et al. 2023)"),
        _bound(
            "audited_epsilon_fdp",
            "of any mechanism whose trade-off curve is Gaussian or above (f-DP, Mahloujifar et al. 2024)",
        ),
        _bound(
            "audited_epsilon_gaussian",
            "of Gaussian mechanisms, whose canaries have noises of their own (exact tail, Xiang et al. 2025)",
        ),
        "epsilon",
    ),
    item=Noun("canary", "canaries"),
    evidence=(Evidence("auc"),),
    layout=Layout(
        metrics=("audited_epsilon", "audited_epsilon_fdp", "audited_epsilon_gaussian", "auc"),
        aside=(("epsilon", -1.0),),
    ),
    controls=("blind",),
    controls_by_default=("blind",),
    controls_by_name=(("blind", "auc"),),
    legend=(
        "A target is one training, with canaries of its own.",
        "Audited epsilons are lower bounds, each wrong with the protocol's `error`: one above what is claimed refutes"
        " the claim, if the mechanism is of the family that the column names; one below it proves nothing.",
        "`blind` scores every canary alike.",
    ),
    place=6,
)
