"""The report's plots, as SVG files whose bytes depend on the data alone."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "svg.hashsalt": "i3deep",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)
import matplotlib.pyplot as plt  # noqa: E402

Title = Callable[[str], str]

# Okabe & Ito's colours; ours is black and thick.
COLOURS = {
    "presegmentation": "#999999",
    "pasted": "#E69F00",
    "interpolation": "#56B4E9",
    "watershed": "#009E73",
    "random walker": "#F0E442",
    "graph cut": "#D55E00",
    "pnet": "#CC79A7",
    "published": "#0072B2",
    "published, pasted": "#0072B2",
    "ours": "#000000",
}
_DASHED = ("published, pasted", "presegmentation")


def style(name: str) -> dict:
    """How a method's line looks, the same in every plot."""
    return {
        "color": COLOURS.get(name, "#666666"),
        "linewidth": 2.4 if name == "ours" else 1.3,
        "linestyle": "--" if name in _DASHED else "-",
        "zorder": 3 if name == "ours" else 2,
        "marker": "o",
        "markersize": 3,
    }


def save(file: Path, figure: plt.Figure) -> None:
    """Writes without a date."""
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def curves(file: Path, frame: pd.DataFrame, spent: pd.Series, methods: list[str], title: Title) -> None:
    """Scores by effort."""
    scores = {"dice": "Dice", "dice_outside": "Dice outside the planes", "nsd": "NSD at 1 mm"}
    figure, panels = plt.subplots(1, len(scores), figsize=(11, 4.2))
    for panel, (score, name) in zip(panels, scores.items(), strict=True):
        for method in methods:
            means = frame[frame["method"] == method].groupby("budget")[score].mean()
            panel.plot(100 * spent[means.index], means, label=title(method), **style(method))
        panel.set(xlabel="effort, %", ylabel=name)
        panel.set_xlim(left=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5)
    save(file, figure)


def boxes(file: Path, frame: pd.DataFrame, methods: list[str], title: Title) -> None:
    """Dice and Dice outside the planes of every case."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 0.36 * len(methods) + 1.2), sharey=True)
    for panel, (score, name) in zip(
        panels, {"dice": "Dice", "dice_outside": "Dice outside the planes"}.items(), strict=True
    ):
        values = [frame.loc[frame["method"] == method, score].dropna() for method in methods]
        panel.boxplot(
            values,
            orientation="horizontal",
            tick_labels=[title(m) for m in methods],
            showfliers=False,
            medianprops={"color": "#D55E00"},
        )
        for at, of_method in enumerate(values, 1):
            panel.plot(
                of_method, at + np.linspace(-0.2, 0.2, len(of_method)), ".", color="#000000", alpha=0.35, markersize=3
            )
        panel.set_xlabel(name)
    panels[0].invert_yaxis()
    save(file, figure)


def corruptions(file: Path, lost: pd.DataFrame, kinds: dict[str, str]) -> None:
    """Presegmentation, pasted and ours by kind of corruption, with the clean presegmentation as a line."""
    figure, panel = plt.subplots(figsize=(9, 3.2))
    at = np.arange(len(lost))
    bars = {
        "before": ("presegmentation", "#999999"),
        "pasted": ("planes pasted", "#E69F00"),
        "after": ("ours", "#000000"),
    }
    for offset, (column, (name, colour)) in zip((-0.25, 0, 0.25), bars.items(), strict=True):
        panel.bar(at + offset, lost[column], 0.23, label=name, color=colour)
    for x, clean in zip(at, lost["clean"], strict=True):
        panel.plot(
            [x - 0.4, x + 0.4],
            [clean, clean],
            color="#D55E00",
            label="presegmentation of the clean scan" if x == 0 else None,
        )
    panel.set_xticks(at, [kinds[kind] for kind in lost.index])
    panel.set_ylabel("Dice")
    panel.legend(fontsize=7, loc="lower left")
    save(file, figure)


def ablations(file: Path, frame: pd.DataFrame, variants: list[str], names: dict[str, str]) -> None:
    """Each case's change from the variant `short`."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 0.4 * len(variants) + 1.2), sharey=True)
    for panel, (score, name) in zip(
        panels, {"dice": "Dice", "dice_outside": "Dice outside the planes"}.items(), strict=True
    ):
        wide = frame.pivot(index="case", columns="variant", values=score)
        for at, variant in enumerate(variants):
            change = (wide[variant] - wide["short"]).dropna()
            panel.plot(change, at + np.linspace(-0.2, 0.2, len(change)), ".", color="#0072B2", alpha=0.6)
            panel.plot([change.mean()] * 2, [at - 0.3, at + 0.3], color="#000000", linewidth=2)
        panel.axvline(0, color="#999999", linewidth=0.8)
        panel.set_xlabel(f"change of {name}")
    panels[0].set_yticks(range(len(variants)), [names[v] for v in variants])
    panels[0].invert_yaxis()
    save(file, figure)


def distances(file: Path, gains: pd.DataFrame, names: list[str], title: Title) -> None:
    """Share of wrong voxels removed, by shell; what lies far below nothing is cut off."""
    figure, panel = plt.subplots(figsize=(9, 3.6))
    for method in gains.columns:
        panel.plot(range(len(names)), 100 * gains[method], label=title(method), **style(method))
    panel.axhline(0, color="#999999", linewidth=0.8)
    panel.set(
        ylim=(-100, 105), ylabel="wrong voxels removed, %", xlabel="distance from the nearest corrected plane, mm"
    )
    panel.set_xticks(range(len(names)), [name.removesuffix(" mm") for name in names])
    panel.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    save(file, figure)


def listening(file: Path, frame: pd.DataFrame, networks: list[str], title: Title) -> None:
    """Means by number of planes."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
    for panel, (score, name) in zip(
        panels, {"dice": "Dice", "dice_outside": "Dice outside all planes"}.items(), strict=True
    ):
        for network in networks:
            means = frame[frame["network"] == network].groupby("planes")[score].mean()
            panel.plot(means.index, means, label=title(network), **style(network))
        panel.set(xlabel="planes", ylabel=name)
    panels[0].legend(fontsize=7)
    save(file, figure)
