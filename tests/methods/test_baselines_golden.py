"""The AVCA paper's baselines under `as_released` against outputs of the released implementation, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.config.files import parse
from avzsl.config.load import SHIPPED
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.methods import Batch, Clips, Dims, Method, build

TOLERANCE = {"rtol": 1e-8, "atol": 1e-8}
RANKING = {"bilinear.weight": "map.weight"}
# Reference tensor name -> ours, by its beginning.
NAMES = {
    "ale": RANKING,
    "sje": RANKING,
    "devise": RANKING,
    "apn": {"ALE_vector": "base", "prototype_vectors.layer4": "prototypes"},
    "avgzslnet": {
        "triplet_net.embedding_net1.fc.": "f_a.",
        "triplet_net.embedding_net2.fc.": "f_v.",
        "triplet_net.embedding_net3.fc.": "f_t.",
        "decoder_net.embedding_net.fc.": "decoder.",
    },
}
# Reference name -> ours, of the first step's intermediates and terms.
TERMS = {
    "apn": {"ce_final_double_softmax": "classify_base", "mse_final": "regress_base",
            "ce_layer4_double_softmax": "classify_prototypes", "mse_layer4": "regress_prototypes"},
    "avgzslnet": {name: name for name in ("l_rec", "l_cta", "l_ctv", "l_ta", "l_at", "l_tv", "l_vt")},
}  # fmt: skip


def ours(method: str, name: str) -> str:
    for start, replacement in NAMES[method].items():
        if name.startswith(start):
            name = name.replace(start, replacement)
    if method == "avgzslnet":  # Linear, batch norm, ReLU, dropout, Linear
        part, index, rest = name.split(".", 2)
        name = f"{part}.1.{rest}" if index == "4" else f"{part}.0.{index}.{rest}"
    return name


def golden(shared: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "methods" / f"{name}.npz") as stream:
        return dict(stream)


def batches(shared: Path) -> list[Batch]:
    x = golden(shared, "inputs")
    classes = torch.from_numpy(x["class_w"])

    def clips(i: int, side: str) -> Clips:
        labels = torch.from_numpy(x[f"batch_{i}/label_{side}"])
        return Clips(*(torch.from_numpy(x[f"batch_{i}/{key}_{side}"]) for key in ("audio", "video", "w")), labels)

    for i in range(5):
        part = clips(i, "p")
        torch.testing.assert_close(classes[part.labels], part.text)
    return [Batch(clips(i, "p"), clips(i, "q"), classes) for i in range(5)]


def start(shared: Path, name: str) -> tuple[Method, dict[str, np.ndarray]]:
    config = parse(SHIPPED / "methods" / f"{name}.yaml", MethodConfig)
    options = {**config.options, **config.presets.get("as_released", Overrides()).options}
    options |= {key: 0.0 for key in ("dropout", "decoder_dropout") if key in options}
    method = build(config.module, Dims(512, 512, 300), options).double()
    x = golden(shared, name)
    state = {
        ours(name, k.removeprefix("state_0/")): torch.from_numpy(v) for k, v in x.items() if k.startswith("state_0/")
    }
    if name == "apn":  # kept as 1 x 1 convolutions there
        state = {k: v[..., 0, 0] for k, v in state.items()}
    method.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in state.items()})
    return method.train(), x


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_parameters_of_five_steps(shared, name):
    method, x = start(shared, name)
    optimisers = method.optimisers(TrainingConfig())
    for number, batch in enumerate(batches(shared)):
        loss = method.step(batch, optimisers, 4 - number)
        np.testing.assert_allclose(loss, x["losses"][number], **TOLERANCE)
        if number in {0, 4}:
            prefix, state = f"state_after_{number + 1}/", method.state_dict()
            names = {key[len(prefix) :].rsplit("/", 1)[0] for key in x if key.startswith(prefix)}
            assert len(names) == len(state)
            for tensor_name in names:
                tensor = state[ours(name, tensor_name)].double().flatten()
                at = torch.linspace(0, tensor.numel() - 1, min(64, tensor.numel())).long()
                for kind, value in (("sample", tensor[at]), ("sum", tensor.sum()), ("norm", tensor.norm())):
                    np.testing.assert_allclose(
                        value, x[f"{prefix}{tensor_name}/{kind}"], **TOLERANCE, err_msg=tensor_name
                    )


@pytest.mark.parametrize("name", TERMS)
def test_terms_of_the_first_step(shared, name):
    method, x = start(shared, name)
    batch = batches(shared)[0]
    if name == "avgzslnet":
        values = method.intermediates(batch)
        for key in (k for k in x if k.startswith("step1/") and x[k].ndim == 2 and not k.endswith("x_t_p")):
            np.testing.assert_allclose(values[key.removeprefix("step1/")].detach(), x[key], **TOLERANCE, err_msg=key)
        terms = method.terms(values, batch.positive.text)
    else:
        terms = method.terms(batch)
    assert set(terms) == set(TERMS[name].values())
    for reference, mine in TERMS[name].items():
        np.testing.assert_allclose(terms[mine].detach(), x[f"step1/{reference}"], **TOLERANCE, err_msg=mine)


@pytest.mark.parametrize("name", ["ale", "sje", "devise"])
def test_scores_of_the_first_step(shared, name):
    method, x = start(shared, name)
    np.testing.assert_allclose(method.scores(batches(shared)[0]).detach(), x["step1/logits"], **TOLERANCE)
