#!/usr/bin/env python3
"""Draws result.json: what each workload costs over the better of nginx and HAProxy. Needs matplotlib.

    plot.py RESULT.json PICTURE.png
"""
import json
import sys

BETTER, WORSE, INK, GRID = "#2a7f62", "#c2703d", "#333333", "#dddddd"
OURS, FLOOR = "ocgate", "relay"
MARKS = {"nginx": ("o", "#4c78a8"), "HAProxy": ("s", "#8c6bb1")}
MOST = 3.0  # a longer bar ends at the edge, with its number beside it; a mark further right is left out


def rows_of(result):
    """(title, ratio of ours, ratios of the others, target) for each workload that has one."""
    rows = []
    for name, workload in result["workloads"].items():
        if name.startswith("real-"):
            continue  # about latency; its CPU is that of slow rates
        targets = workload["targets"]
        ours = targets.get(OURS, {}).get("ratio_to_better")
        if ours is None or ours <= 0:
            continue
        others = {t: targets[t].get("ratio_to_better") for t in (*MARKS, FLOOR) if t in targets}
        rows.append((workload["title"], ours, others, workload["limit"], workload["cost_unit"].startswith("B")))
    return sorted(rows, key=lambda row: row[-1])  # memory last


def draw(result, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = rows_of(result)
    if not rows:
        raise SystemExit("nothing to draw: no ratio in it")
    pyplot.rcParams.update({"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                            "ytick.color": INK, "font.family": "sans-serif"})
    # 800 px wide in a README, twice that in the file for screens that have them.
    figure, axes = pyplot.subplots(figsize=(8, 1.7 + 0.26 * len(rows)), dpi=200)
    figure.patch.set_facecolor("white")
    right = min(MOST, max([1.3] + [r for _, ours, others, _, _ in rows for r in (ours, *others.values()) if r]) * 1.05)
    for y, (_, ours, others, target, _) in enumerate(rows):
        axes.barh(y, min(ours, right), height=0.64, color=BETTER if ours <= 1 else WORSE, zorder=2)
        axes.text(1.015, y, f"{ours:.2f}", transform=axes.get_yaxis_transform(), va="center", ha="left",
                  fontweight="bold", color=BETTER if ours <= 1 else WORSE)
        for name, (mark, colour) in MARKS.items():
            if 0 < (others.get(name) or 0) <= right:
                axes.plot(others[name], y, mark, color=colour, markeredgecolor="white", markersize=6,
                          zorder=4, clip_on=False)
        if 0 < (others.get(FLOOR) or 0) <= right:
            axes.plot(others[FLOOR], y, "D", markerfacecolor="white", markeredgecolor=INK, markersize=4.5,
                      zorder=5, clip_on=False)
        if target:
            axes.plot([target, target], [y - 0.42, y + 0.42], color=INK, linewidth=1.6, zorder=5)
    axes.axvline(1, color=INK, linewidth=0.8, zorder=3)
    axes.set_yticks(range(len(rows)), [title + (" (memory)" if memory else "") for title, *_, memory in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, right)
    axes.xaxis.grid(True, color=GRID, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=BETTER), pyplot.Rectangle((0, 0), 1, 1, color=WORSE)]
    for mark, colour in MARKS.values():
        handles.append(pyplot.Line2D([], [], linestyle="", marker=mark, color=colour, markersize=6))
    handles.append(pyplot.Line2D([], [], linestyle="", marker="D", markerfacecolor="white", markeredgecolor=INK,
                                 markersize=4.5))
    handles.append(pyplot.Line2D([], [], linestyle="", marker="|", color=INK, markersize=9, markeredgewidth=1.6))
    labels = ["ocgate, cheaper", "ocgate, dearer", *MARKS, "raw relay", "target"]
    height = figure.get_figheight()
    figure.legend(handles, labels, loc="lower center", ncol=6, frameon=False, fontsize=8.5)
    figure.text(0.5, 1 - 0.22 / height, "CPU and memory over the better of nginx and HAProxy with the same duty (= 1); "
                "shorter is better", ha="center", fontsize=9.5, fontweight="bold")
    cores = result["machine"]["cores"]
    figure.text(0.5, 1 - 0.42 / height, f"ocgate with everything on, {result['made']}, {cores} "
                f"core{'s' if cores != 1 else ''} of {result['machine']['processor']}", ha="center", fontsize=8.5)
    figure.tight_layout(rect=(0, 0.26 / height, 0.99, 1 - 0.46 / height))
    figure.savefig(path)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        draw(json.load(file), sys.argv[2])
