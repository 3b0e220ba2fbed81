"""A synthetic cohort of people on warfarin, drawn from published frequencies by race; none is unknown.

Race, age, height, weight and medicines: counted by race over the 5,050 people with a stable dose and a
stated race (2,969 white, 1,619 Asian, 462 black) in the data that the International Warfarin Pharmacogenetics
Consortium published with its article (N Engl J Med 2009;360:753, PharmGKB); a medicine not reported is not
taken, as the consortium coded it. Only these summaries are here, none of its rows.

VKORC1 -1639G>A genotypes: Adv Chronic Kidney Dis 2016;23:82 (PMC4795471), Table 2: A/G 48, 16 and 20 %, A/A
15, 83 and 2 % of Europeans, Asians and African Americans; the rest are G/G.

CYP2C9 genotypes: Hardy-Weinberg proportions of published allele frequencies. White and black people: from the
shares that carry an allele in Limdi et al., Blood 2015;126:539, Table 1 (*2: 25.6 and 4.9 %, *3: 12.6 and
2.3 %), q = 1 - sqrt(1 - share). Asians: 1000 Genomes, in Shendre et al., Pharmacogenomics 2018;19:1357, Table 1.
Alleles other than *2 and *3 count as *1, as in the dosing algorithm.

Within a race the genotypes and medicines are independent of each other and of the rest, so the published
frequencies are the exact prior of this cohort.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Literal

from invbench.core.randomness import numpy_stream
from invbench.data import Dataset
from invbench.data._table import Table
from invbench.observation import AttributePrior, Plain
from invbench.registry import dataset, parameter

PEOPLE = 5000
VKORC1 = ("G/G", "A/G", "A/A")
CYP2C9 = ("*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3")
DEMOGRAPHICS = ("race", "age", "height", "weight")


@dataclass(frozen=True)
class _Race:
    share: float
    decades: tuple[float, ...]  # per cent aged 10-19, 20-29, ..., 90-99
    height: tuple[float, float]  # mean and standard deviation, cm
    weight: tuple[float, float]  # median, kg, and standard deviation of its logarithm
    build: float  # correlation of height and log weight
    vkorc1: tuple[float, ...]  # per cent, in the order of VKORC1
    variants: tuple[float, float]  # frequencies of CYP2C9 alleles *2 and *3
    inducer: float  # share taking carbamazepine, phenytoin or rifampicin
    amiodarone: float


RACES = {
    "white": _Race(
        share=0.588,
        decades=(0.2, 2.3, 3.2, 7.2, 16.4, 22.5, 31.8, 15.6, 0.8),
        height=(171.4, 10.2),
        weight=(82.5, 0.232),
        build=0.49,
        vkorc1=(37, 48, 15),
        variants=(0.137, 0.065),
        inducer=0.013,
        amiodarone=0.065,
    ),
    "asian": _Race(
        share=0.321,
        decades=(0.2, 1.3, 3.8, 11.2, 21.6, 31.1, 25.3, 5.4, 0.1),
        height=(160.9, 8.7),
        weight=(60.2, 0.183),
        build=0.62,
        vkorc1=(1, 16, 83),
        variants=(0.001, 0.034),
        inducer=0.0025,
        amiodarone=0.012,
    ),
    "black": _Race(
        share=0.091,
        decades=(0.4, 3.0, 6.3, 17.3, 25.1, 24.0, 16.7, 6.5, 0.7),
        height=(170.9, 10.3),
        weight=(89.4, 0.273),
        build=0.36,
        vkorc1=(78, 20, 2),
        variants=(0.025, 0.012),
        inducer=0.017,
        amiodarone=0.050,
    ),
}


@dataset(data="table")
@dataclass(frozen=True, kw_only=True)
class Warfarin(Dataset):
    """5,000 synthetic people on warfarin, drawn from published frequencies by race."""

    sensitive: Literal["vkorc1", "cyp2c9"] = parameter(help="genotype that the attacker is after")
    background: Literal["all", "demographics"] = parameter(
        "all",
        help="what the attacker is given: every other attribute, or race, age, height and weight alone",
    )

    def load(self) -> Table:
        """The cohort; the same people whatever is sensitive."""
        return _table(self.sensitive, self.background)


@cache
def _table(sensitive: str, background: str) -> Table:
    people = _cohort()
    everything = tuple(name for name in people[0] if name != sensitive)
    return Table(
        people=people,
        sensitive=sensitive,
        values=VKORC1 if sensitive == "vkorc1" else CYP2C9,
        background=everything if background == "all" else DEMOGRAPHICS,
        prior=_prior(),
        notes=(f"a synthetic cohort of {PEOPLE:,} people",),
    )


@cache
def _prior() -> AttributePrior:
    return AttributePrior(
        group="race",
        shares={name: race.share for name, race in RACES.items()},
        table={
            "vkorc1": {
                name: {g: percent / 100 for g, percent in zip(VKORC1, race.vkorc1, strict=True)}
                for name, race in RACES.items()
            },
            "cyp2c9": {name: hardy_weinberg(*race.variants) for name, race in RACES.items()},
            "inducer": {name: {False: 1 - race.inducer, True: race.inducer} for name, race in RACES.items()},
            "amiodarone": {name: {False: 1 - race.amiodarone, True: race.amiodarone} for name, race in RACES.items()},
        },
    )


def hardy_weinberg(two: float, three: float) -> dict[Plain, float]:
    """CYP2C9 genotype probabilities of alleles *2 and *3 with these frequencies, the rest *1."""
    alleles = {"*1": 1 - two - three, "*2": two, "*3": three}
    return {
        genotype: alleles[first] * alleles[second] * (1 if first == second else 2)
        for genotype in CYP2C9
        for first, second in [genotype.split("/")]
    }


@cache
def _cohort() -> tuple[Mapping[str, Any], ...]:
    # Uniform draws and inverse distribution functions alone, rounded to whole units: the cohort, and with it
    # the id of every cell, must not change with NumPy's samplers.
    draws = numpy_stream("warfarin cohort", 1).random((PEOPLE, 9)).tolist()
    return tuple(_person(row) for row in draws)


def _person(uniform: list[float]) -> Mapping[str, Any]:
    in_race, in_decade, in_year, in_height, in_weight, *rest = uniform
    prior = _prior()
    race = _pick(prior.shares, in_race)
    facts = RACES[race]
    decade = _pick(dict(enumerate(facts.decades, start=1)), in_decade)
    tall, broad = NormalDist().inv_cdf(in_height), NormalDist().inv_cdf(in_weight)
    heavy = facts.build * tall + math.sqrt(1 - facts.build**2) * broad
    person = {
        "race": race,
        "age": 10 * decade + int(10 * in_year),  # years; even within a decade, all that the algorithm reads
        "height": round(facts.height[0] + facts.height[1] * tall),  # cm
        "weight": round(facts.weight[0] * math.exp(facts.weight[1] * heavy)),  # kg
    }
    drawn = {name: _pick(prior.table[name][race], u) for name, u in zip(prior.table, rest, strict=True)}
    return {**person, **drawn}


def _pick(probabilities: Mapping[Any, float], uniform: float) -> Any:
    values, weights = list(probabilities), list(accumulate(probabilities.values()))
    return next(v for v, upto in zip(values, weights, strict=True) if uniform * weights[-1] < upto)
