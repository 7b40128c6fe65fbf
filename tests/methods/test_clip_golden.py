"""ClipClap, and AVCA with the alignment of Hyper-AVZSL, against outputs of the released implementations, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.config.methods import TrainingConfig
from avzsl.evaluation.calibration import GRIDS, Calibration
from avzsl.methods import Batch, Clips, Dims
from tests.methods.reference import TOLERANCE, as_released, check_digests, formula, golden, renamed
from tests.methods.test_golden import AVCA_NAMES, batches, ours
from tests.methods.test_golden import check_digests as check_avca

torch.set_num_threads(1)
CLIPCLAP_NAMES = [
    (r"^(O_enc|W_enc|W_proj|D_w)\.fc\.", r"\1."),
    (r"\.fc\.([01])\.", r".0.\1."),
    (r"\.fc\.4\.", ".1.0."),
    (r"\.fc\.5\.", ".1.1."),
]
CASES = {
    "both": {},
    "audio": {"modalities": "audio", "text": "audio"},
    "video": {"modalities": "visual", "text": "visual"},
    "both_clip_text": {"text": "visual"},
    "both_clap_text": {"text": "audio"},
}


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def clip_clap_batches() -> list[Batch]:
    rng = np.random.default_rng(3000)
    text = np.concatenate([unit(rng.standard_normal((12, width))) for width in (512, 1024)], axis=1)
    classes = torch.from_numpy(text).double()
    made = []
    for i in range(5):
        rng = np.random.default_rng(3001 + i)
        label = torch.from_numpy(rng.integers(0, 12, 16))
        visual, audio = (torch.from_numpy(unit(rng.standard_normal((16, n)))).double() for n in (512, 1024))
        clips = Clips(audio, visual, classes[label], label)
        made.append(Batch(clips, clips, classes))
    return made


@pytest.mark.parametrize("case", CASES)
def test_clipclap(shared: Path, case: str) -> None:
    x = {k[len(case) + 1 :]: v for k, v in golden(shared, "newer/clipclap").items() if k.startswith(f"{case}/")}
    method = as_released("clipclap", Dims(1024, 512, 1536), **CASES[case])
    prefix = "state_after_5/"
    names = {key[len(prefix) :].rsplit("/", 1)[0] for key in x if key.startswith(prefix)}
    own = method.state_dict()
    state = {name: formula(name, tuple(own[renamed(name, CLIPCLAP_NAMES)].shape)) for name in names}
    np.testing.assert_allclose(sum(v.astype(np.float64).sum() for v in state.values()), x["state_0_sum"], rtol=1e-9)
    method.load_state_dict({renamed(k, CLIPCLAP_NAMES): torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    data = clip_clap_batches()

    def evaluated() -> dict[str, np.ndarray]:
        method.eval()
        args = (data[0].positive.audio, data[0].positive.visual, data[0].classes)
        points = method.embed(*args)
        got = {
            "theta_o": points[method.which],
            "theta_w": points["classes"],
            "distances": method.distances(*args)["both"],
        }
        method.train()
        return {key: value.detach().numpy() for key, value in got.items()}

    def check(stage: str) -> None:
        got = evaluated()
        for key in (key for key in x if key.startswith(f"{stage}/")):
            np.testing.assert_allclose(got[key.rsplit("/", 1)[1]], x[key], **TOLERANCE, err_msg=key)

    check("eval_0")
    if case == "both":
        values = method.intermediates(data[0])
        for key, name in {
            "w": "u",
            "theta_o": "theta_o",
            "rho_o": "rho_o",
            "theta_w": "theta_w",
            "rho_w": "rho_w",
        }.items():
            np.testing.assert_allclose(values[name].detach(), x[f"train_step1/{key}"], **TOLERANCE, err_msg=key)
        terms = method.terms(values, data[0].positive.labels)
        np.testing.assert_allclose([terms[k].item() for k in ("reg", "rec", "ce")], x["terms"][0], **TOLERANCE)
        method.load_state_dict({renamed(k, CLIPCLAP_NAMES): torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    optimisers = method.optimisers(TrainingConfig(lr=7e-5, weight_decay=1e-5))
    for number, batch in enumerate(data):
        np.testing.assert_allclose(method.step(batch, optimisers, 4 - number), x["losses"][number], **TOLERANCE)
        if number == 4 or (number == 0 and "state_after_1/O_enc.fc.0.bias/sum" in x):
            count = check_digests(
                method.state_dict(), x, f"state_after_{number + 1}/", lambda name: renamed(name, CLIPCLAP_NAMES)
            )
            assert count == len(own)
    check("eval_after_5")


def test_its_grid_of_beta(shared: Path) -> None:
    x, e = golden(shared, "newer/clipclap"), golden(shared, "methods/evaluation")
    points, classes = (torch.from_numpy(e[key]) for key in ("v_p", "t_p"))
    distances = torch.cdist(points.double(), classes.double()).numpy().astype(np.float32)
    ids = np.sort(np.concatenate([e["seen_class_ids"], e["unseen_class_ids"]]))
    labels, seen = np.searchsorted(ids, e["targets"]), np.isin(ids, e["seen_class_ids"])
    best = Calibration(distances, labels, seen).best(GRIDS["clipclap"])
    for key in ("seen", "unseen", "hm", "zsl", "beta"):
        assert getattr(best, key) == pytest.approx(float(x[f"evaluation_grid/search/{key}"]), abs=1e-6), key


def hyper(shared: Path, alignment: float = 1e-3):
    x = {k.removeprefix("alignment/"): v for k, v in golden(shared, "newer/hyper_avca").items()}
    method = as_released("avca", Dims(512, 512, 300), alignment=alignment)
    own = method.state_dict()
    prefix = "state_after_5/"
    names = {key[len(prefix) :].rsplit("/", 1)[0] for key in x if key.startswith(prefix)}
    state = {name: formula(name, tuple(own[ours(name, AVCA_NAMES)].shape)) for name in names}
    np.testing.assert_allclose(sum(v.astype(np.float64).sum() for v in state.values()), x["state_0_sum"], rtol=1e-9)
    method.load_state_dict({ours(k, AVCA_NAMES): torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    return method, x


def test_hyper_alignment_is_an_alignment_of_cosines(shared: Path) -> None:
    method, x = hyper(shared)
    data = batches(shared)
    method.train()
    state = {key: value.clone() for key, value in method.state_dict().items()}
    terms = method.terms(method.intermediates(data[0].positive, data[0].negative), data[0].positive.text)
    got = [terms[key].item() / 1e-3 for key in ("align", "align_neg")]
    np.testing.assert_allclose(got, x["step1/align_terms"], **TOLERANCE)
    method.load_state_dict(state)
    optimisers = method.optimisers(TrainingConfig(weight_decay=1e-5))
    for number, batch in enumerate(data):
        np.testing.assert_allclose(method.step(batch, optimisers, 4 - number), x["losses"][number], **TOLERANCE)
        if number in {0, 4}:
            assert check_avca(method.state_dict(), x, f"state_after_{number + 1}/", AVCA_NAMES) > 60
    method.eval()
    points = method.embed(data[0].positive.audio, data[0].positive.visual, data[0].classes)
    for key, name in (("audio", "theta_a"), ("visual", "theta_v"), ("classes", "theta_w")):
        np.testing.assert_allclose(points[key].detach(), x[f"eval_after_5/{name}"], **TOLERANCE)


def test_no_curvature_of_the_published_code_changes_its_losses(shared: Path) -> None:
    x = golden(shared, "newer/hyper_avca")
    for other in ("alignment_c1", "single", "multiple3"):
        np.testing.assert_allclose(x[f"{other}/losses"], x["alignment/losses"], rtol=1e-13)
