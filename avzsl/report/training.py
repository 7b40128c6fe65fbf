"""Curves: training per stage, and the trade-off between seen and unseen classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from avzsl.evaluation import SHORT, Calibration, harmonic_mean
from avzsl.report.figures import Figure, axis, colour, line, rounded, symbol
from avzsl.report.results import BenchmarkFiles, RunFiles

# Points of a drawn curve; the areas are computed from all of them.
CURVE_POINTS = 200


def _epochs(benchmark: BenchmarkFiles) -> dict[str, Any]:
    """Return an axis of epochs, which are whole numbers: few of them get a tick each, not fractions between them."""
    last = max(run.history["epoch"].max() for method in benchmark.config.methods for run in benchmark.runs(method))
    return axis("epoch", **({"dtick": 1} if last <= 10 else {}))


def training_figures(benchmark: BenchmarkFiles) -> list[Figure]:
    """Return loss and validation HM by epoch, a line a seed, the chosen epochs marked."""
    figures = []
    name = benchmark.name
    loss, hm, chosen, rows = [], [], [], []
    for index, method in enumerate(benchmark.config.methods):
        for position, run in enumerate(benchmark.runs(method)):
            history = run.history.sort_values(["stage", "epoch"])
            for stage in (1, 2):
                part = history[history["stage"] == stage]
                if part.empty:
                    continue
                legend = {
                    "legendgroup": f"{method}{stage}", "showlegend": position == 0,
                    "hovertemplate": f"{method}, seed {run.seed}, stage {stage}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
                }  # fmt: skip
                style = {"color": colour(index), "dash": "solid" if stage == 1 else "dot", "width": 1.5}
                # What is solved or only looked up has no loss: 0 stands in its history, and would flatten the others' lines.
                trained = bool((part["loss"] != 0).any())
                if trained:
                    loss.append(
                        line(part["epoch"], part["loss"], f"{method}, stage {stage}", index, line=style, **legend)
                    )
                if stage == 1 and part["hm"].notna().any():
                    hm.append(line(part["epoch"], 100 * part["hm"], method, index, **legend))
                    best = part[part["selected"]]
                    chosen.append(
                        {
                            "type": "scatter", "mode": "markers", "x": rounded(best["epoch"]), "y": rounded(100 * best["hm"]),
                            "marker": {"color": colour(index), "symbol": symbol(index), "size": 10, "line": {"width": 1, "color": "fg"}},
                            "name": f"{method}, chosen epoch", "legendgroup": f"{method} chosen", "showlegend": position == 0,
                            "hovertemplate": f"{method}, seed {run.seed}: epoch %{{x}} chosen, HM %{{y:.2f}}<extra></extra>",
                        }
                    )  # fmt: skip
                last = part.iloc[-1]
                rows.append(
                    [method, run.seed, stage, len(part), *(f"{v:.3f}" if trained else "" for v in (part["loss"].iloc[0], last["loss"])),
                     _percent(part["hm"].max()), ", ".join(str(e) for e in part.loc[part["selected"], "epoch"]),
                     f"{part['seconds'].sum():.1f}"]
                )  # fmt: skip
    header = ["method", "seed", "stage", "epochs", "first loss", "last loss", "best HM", "chosen epoch", "seconds"]
    table: dict[str, Any] = {"header": header, "rows": rows}
    if loss:
        figures.append(
            Figure(
                f"loss-{name}", "Training loss", "Mean loss of each epoch, a line a seed. Solid: stage 1; dotted: stage 2.",
                loss, {"xaxis": _epochs(benchmark), "yaxis": axis("loss", type="log" if _positive(loss) else "linear", tickformat="~g", **({"dtick": "D2"} if _positive(loss) else {}))}, **table,
            )
        )  # fmt: skip
        table = {}
    if hm:
        figures.append(
            Figure(
                f"hm-{name}", "Validation in stage 1",
                "Harmonic mean on validation-seen and validation-unseen classes after each epoch of stage 1; the marked epoch is how long stage 2 trains. "
                "A method in closed form has its settings in the place of epochs.",
                hm + chosen, {"xaxis": _epochs(benchmark), "yaxis": axis("HM, percent", rangemode="tozero")}, **table,
            )
        )  # fmt: skip
    return figures


def _positive(traces: list[dict]) -> bool:
    return all(y is not None and y > 0 for trace in traces for y in trace["y"])


def _percent(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.2f}"


@dataclass(frozen=True)
class Tradeoff:
    """S, U and HM in percent at every β where one of them changes, ascending, and the exact area (AUSUC, 0..1)."""

    betas: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    hm: np.ndarray
    area: float


def run_calibration(run: RunFiles) -> Calibration:
    """Return the calibration of one run on its test clips."""
    arrays, header = run.scores
    number = {name: index for index, name in enumerate(header["class_names"])}
    truth_of = dict(zip(run.predictions["clip_id"], run.predictions["class_name"], strict=True))
    truth = np.array([number[truth_of[clip]] for clip in header["clip_ids"]], dtype=int)
    return Calibration(arrays["distances"], truth, np.asarray(header["seen"], dtype=bool))


def trade_off(calibration: Calibration) -> Tradeoff:
    """Return the whole trade-off of one calibration; the first point lies before the first change."""
    points = calibration.breakpoints
    before = points[0] - 0.02 * (points[-1] - points[0] + 1) if len(points) else 0.0
    betas = np.concatenate([[before], points])
    seen, unseen = (100 * np.nan_to_num(values) for values in calibration.curve(betas))
    area = calibration.area()
    return Tradeoff(betas, seen, unseen, harmonic_mean(seen, unseen), float("nan") if area is None else area)


def trade_off_figures(benchmark: BenchmarkFiles) -> list[Figure]:
    """Return U over S for all methods, and S, U and HM over β for each (CJME figure 4)."""
    name, methods, seeds = benchmark.name, benchmark.config.methods, benchmark.config.seeds
    calibrations = {m: [run_calibration(run) for run in benchmark.runs(m)] for m in methods}
    curves = {m: [trade_off(calibration) for calibration in calibrations[m]] for m in methods}
    plane, rows, by_beta = [], [], []
    for index, method in enumerate(methods):
        runs = benchmark.runs(method)
        for position, curve in enumerate(curves[method]):
            points = _thin(curve)
            plane.append(
                line(
                    curve.seen[points], curve.unseen[points], method, index, legendgroup=method, showlegend=position == 0,
                    hovertemplate=f"{method}, seed {seeds[position]}<br>S %{{x:.1f}}, U %{{y:.1f}}<extra></extra>",
                )
            )  # fmt: skip
        chosen = [_at(c, run.record.beta) for c, run in zip(calibrations[method], runs, strict=True)]
        plane.append(
            {
                "type": "scatter", "mode": "markers", "x": rounded([c[0] for c in chosen]), "y": rounded([c[1] for c in chosen]),
                "name": f"{method}, chosen β", "legendgroup": f"{method} chosen",
                "marker": {"color": colour(index), "symbol": symbol(index), "size": 11, "line": {"width": 1, "color": "fg"}},
                "hovertemplate": f"{method}, chosen β<br>S %{{x:.1f}}, U %{{y:.1f}}<extra></extra>",
            }
        )  # fmt: skip
        for seed, curve, run in zip(seeds, curves[method], runs, strict=True):
            best = int(np.argmax(curve.hm)) if len(curve.hm) else 0
            rows.append(
                [method, seed, f"{curve.area:.4f}", _text(run.record.beta),
                 f"{curve.hm[best]:.2f}" if len(curve.hm) else "", f"{curve.betas[best]:.3f}" if len(curve.hm) else ""]
            )  # fmt: skip
        by_beta.append(_beta_figure(name, method, curves[method][0], runs[0].record.beta, seeds[0]))
    header = ["method", "seed", "area (AUSUC)", "chosen β", "best HM of all β", "at β"]
    figure = Figure(
        f"tradeoff-{name}", "Seen against unseen",
        "Every calibration β of each run draws one line; the marks are the β chosen on validation. "
        "The area under a line (AUSUC) compares methods without any choice of β. "
        "The best HM of all β is looked up on the test clips: it bounds what a choice could reach and is no result.",
        plane, {"xaxis": axis("S, percent", rangemode="tozero"), "yaxis": axis("U, percent", rangemode="tozero")},
        height=420, header=header, rows=rows,
    )  # fmt: skip
    return [figure, *by_beta]


def _beta_figure(benchmark: str, method: str, curve: Tradeoff, beta: float | None, seed: int) -> Figure:
    points = _thin(curve)
    x = curve.betas[points]
    values = {"seen": curve.seen[points], "unseen": curve.unseen[points], "hm": curve.hm[points]}
    data = [line(x, y, SHORT[metric], index) for index, (metric, y) in enumerate(values.items())]
    for trace in data:
        trace["line"]["shape"] = "hv"
    layout: dict[str, Any] = {
        "xaxis": axis("calibration β"),
        "yaxis": axis("percent", rangemode="tozero"),
    }
    if beta is not None:
        layout["shapes"] = [
            {"type": "line", "x0": beta, "x1": beta, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "fg", "dash": "dash", "width": 1}}
        ]  # fmt: skip
        layout["annotations"] = [
            {
                "x": beta,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"chosen β = {beta:.3g}",
            }
        ]
    return Figure(
        f"beta-{benchmark}-{method}", f"Calibration of {method}",
        f"S, U and HM on the test clips over the calibration β, seed {seed}; the dashed line is the β chosen on validation.{_thinned(curve)}",
        data, layout,
    )  # fmt: skip


def _thinned(curve: Tradeoff) -> str:
    return f" Drawn: {CURVE_POINTS} of {len(curve.betas)} steps." if len(curve.betas) > CURVE_POINTS else ""


def _thin(curve: Tradeoff) -> np.ndarray:
    number = len(curve.betas)
    if number <= CURVE_POINTS:
        return np.arange(number)
    return np.unique(np.linspace(0, number - 1, CURVE_POINTS).round().astype(int))


def _at(calibration: Calibration, beta: float | None) -> tuple[float, float]:
    """Return S and U in percent at one β."""
    if beta is None:
        return float("nan"), float("nan")
    seen, unseen = calibration.curve(np.asarray([beta]))
    return 100 * float(seen[0]), 100 * float(unseen[0])


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
