"""TCaF under `as_released` against outputs of the released implementation, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.config.methods import TrainingConfig
from avzsl.methods import Batch, Clips, Dims
from avzsl.methods.base import Steps
from avzsl.methods.tcaf import TCaF
from tests.methods.reference import TOLERANCE, as_released, check_digests, formula, golden, renamed

torch.set_num_threads(1)
SMALL = {
    "encoder_hidden": 48,
    "decoder_hidden": 40,
    "depth": 2,
    "heads": 3,
    "head_width": 16,
    "feed_forward_hidden": 24,
}
CLS = {"encoder_hidden": 512, "depth": 6}
UNALIGNED = {"audio_step_seconds": 0.96, "visual_step_seconds": 0.64}

# Reference tensor name -> ours.
NAMES = [
    (r"^(A|V)_enc\.", lambda m: f"encoders.{'AV'.index(m[1])}.encode."),
    (r"^(audiovisual_embeddings|position_encoder_block)\.", ""),
    (r"^fourier_randn$", "time.frequencies"),
    (r"^fourier_embeddings\.", "time.map."),
    (r"^modal_embedding\.weight$", "modality"),
    (r"^out_proj_(audio|video)\.", lambda m: f"encoders.{('audio', 'video').index(m[1])}.join."),
    (r"^cls_token$", "transformer.class_token"),
    (r"^Audio_visual_transformer\.", "transformer."),
    (r"\.attn\.to_out\.0\.", ".to_out."),
    (r"\.attn\.", "."),
    (r"\.ff\.net\.0\.", ".first."),
    (r"\.ff\.net\.3\.", ".second."),
    (r"^(W_proj|D_w)\.fc\.", r"\1."),
    (r"\.fc\.([01])\.", r".0.\1."),
    (r"\.fc\.4\.", ".1.0."),
    (r"\.fc\.5\.", ".1.1."),
]
# It is added to padded tokens only, and no output sees those; ours has none.
UNUSED = "pad_embedding.weight"


def ours(name: str) -> str:
    return renamed(name, NAMES)


def make(dims: Dims, **changes: object) -> TCaF:
    method = as_released("tcaf", dims, **changes)
    assert isinstance(method, TCaF)
    return method


def load(method: TCaF, state: dict[str, np.ndarray]) -> None:
    wanted = method.state_dict()
    tensors = {ours(k): torch.from_numpy(np.asarray(v)) for k, v in state.items() if not k.endswith(UNUSED)}
    method.load_state_dict({k: v.reshape(wanted[k].shape).to(wanted[k].dtype) for k, v in tensors.items()})


def steps(values: np.ndarray, lengths: np.ndarray) -> Steps:
    array = torch.from_numpy(np.asarray(values, np.float64))
    # Under `as_released` no time of the data is looked at.
    return Steps(array, torch.from_numpy(lengths), torch.full((*array.shape[:2], 2), torch.nan, dtype=torch.float64))


def clips(x: dict[str, np.ndarray], classes: np.ndarray) -> Batch:
    label = torch.from_numpy(x["label"])
    w = torch.from_numpy(classes).double()
    one = Clips(steps(x["audio"], x["len_audio"]), steps(x["video"], x["len_video"]), w[label], label)
    return Batch(one, one, w)


def small_batches(shared: Path) -> list[Batch]:
    x = golden(shared, "newer/tcaf_inputs")
    parts = ("audio", "video", "len_audio", "len_video", "label")
    return [clips({key: x[f"batch_{i}/{key}"] for key in parts}, x["class_w"]) for i in range(5)]


def evaluated(method: TCaF, batch: Batch) -> list[np.ndarray]:
    method.eval()
    args = (batch.positive.audio, batch.positive.visual, batch.classes)
    points = method.embed(*args)
    arrays = [points["both"], points["classes"], method.distances(*args)["both"]]
    method.train()
    return [array.detach().numpy() for array in arrays]


def check_training(method: TCaF, batches: list[Batch], x: dict[str, np.ndarray], lr: float) -> None:
    """Evaluation before, five steps, states, evaluation after."""
    theta, words, _ = evaluated(method, batches[0])
    np.testing.assert_allclose(theta, x["eval_0/theta_o"], **TOLERANCE)
    np.testing.assert_allclose(words, x["eval_0/theta_w"], **TOLERANCE)
    method.test_time = "nominal"
    np.testing.assert_allclose(evaluated(method, batches[0])[0], x["eval_seconds_0/theta_o"], **TOLERANCE)
    method.test_time = "index"
    optimisers = method.optimisers(TrainingConfig(lr=lr, weight_decay=1e-5))
    for number, batch in enumerate(batches):
        np.testing.assert_allclose(method.step(batch, optimisers, 4 - number), x["losses"][number], **TOLERANCE)
        if number == 4 or (number == 0 and "state_after_1/cls_token/sum" in x):
            assert check_digests(method.state_dict(), x, f"state_after_{number + 1}/", ours, UNUSED) > 70
    for i in range(2):
        theta, words, distances = evaluated(method, batches[i])
        np.testing.assert_allclose(theta, x[f"eval_after_5/batch_{i}/theta_o"], **TOLERANCE)
        np.testing.assert_allclose(words, x["eval_after_5/theta_w"], **TOLERANCE)
        np.testing.assert_allclose(distances, x[f"eval_after_5/batch_{i}/distances"], **TOLERANCE)


@pytest.fixture
def small(shared: Path) -> tuple[TCaF, dict[str, np.ndarray]]:
    x = golden(shared, "newer/tcaf_small")
    method = make(Dims(20, 24, 300), **SMALL, **UNALIGNED)
    load(method, {key.removeprefix("state_0/"): value for key, value in x.items() if key.startswith("state_0/")})
    return method, x


def test_first_step(shared, small):
    method, x = small
    batch = small_batches(shared)[0]
    method.train()
    clips_ = batch.positive
    tokens, real = method._tokens(clips_.audio, 0, "nominal")
    np.testing.assert_allclose(tokens.detach()[real], x["train_step1/tokens_audio"][real.numpy()], **TOLERANCE)
    values = method.intermediates(batch)
    for name in ("theta_o", "rho_o", "theta_w", "rho_w"):
        np.testing.assert_allclose(values[name].detach(), x[f"train_step1/{name}"], **TOLERANCE, err_msg=name)
    terms = method.terms(values, batch)
    np.testing.assert_allclose([terms[key].item() for key in ("reg", "rec", "ce")], x["terms"][0], **TOLERANCE)
    sum(terms.values()).backward()
    gradients = {name: parameter.grad for name, parameter in method.named_parameters()}
    assert check_digests(gradients, x, "grads_step1/", ours, UNUSED) > 50
    assert x["grads_step1/position_encoder_block.pad_embedding.weight/norm"] == 0


def test_five_steps_and_evaluation(shared, small):
    method, x = small
    check_training(method, small_batches(shared), x, lr=1e-3)


def check_masks(method: TCaF, batch: Batch, x: dict[str, np.ndarray]) -> None:
    state = {key: value.clone() for key, value in method.state_dict().items()}
    for kind in ("both", "self", "cross"):
        method.transformer.kind = kind
        np.testing.assert_allclose(evaluated(method, batch)[0], x[f"modes/{kind}/eval_theta_o"], **TOLERANCE)
        values = method.intermediates(batch)
        np.testing.assert_allclose(values["theta_o"].detach(), x[f"modes/{kind}/theta_o"], **TOLERANCE)
        loss = sum(method.terms(values, batch).values())
        np.testing.assert_allclose(loss.detach(), x[f"modes/{kind}/loss"], **TOLERANCE)
        method.load_state_dict(state)


def test_attention_masks(shared, small):
    method, x = small
    check_masks(method, small_batches(shared)[0], x)


@pytest.mark.parametrize(
    "case,file,dims,options,lr",
    [
        (1, "tcaf_ucf_cls_formula", Dims(128, 4096, 300), {**CLS, **UNALIGNED}, 7e-5),
        (2, "tcaf_ucf_main_formula", Dims(512, 512, 300), {}, 5e-5),
    ],
)
def test_full_width(shared, case, file, dims, options, lr):
    x, small = golden(shared, f"newer/{file}"), golden(shared, "newer/tcaf_inputs")
    method = make(dims, **options)
    prefix, own = "state_after_5/", method.state_dict()
    names = {key[len(prefix) :].rsplit("/", 1)[0] for key in x if key.startswith(prefix)}

    def shape_of(name: str) -> tuple[int, ...]:
        shape = tuple(own[ours(name)].shape)
        if name == "cls_token":
            return (1, 1, *shape)
        return (*shape, 1) if "out_proj" in name and name.endswith("weight") else shape

    shapes = {name: shape_of(name) for name in names if not name.endswith(UNUSED)}
    state = {name: formula(name, shape) for name, shape in shapes.items()}
    total = sum(float(value.astype(np.float64).sum()) for value in state.values())
    total += float(formula("audiovisual_embeddings.pad_embedding.weight", (1, 64)).astype(np.float64).sum())
    np.testing.assert_allclose(total, x["state_0_sum"], rtol=1e-9)
    load(method, state)
    batches = []
    for number in range(5):
        rng = np.random.default_rng(1000 * case + number)
        lengths = {"audio": rng.integers(2, 8, 6), "video": rng.integers(2, 11, 6)}
        part = {"label": rng.integers(0, 12, 6)}
        for key, width in (("audio", dims.audio), ("video", dims.visual)):
            shape = (6, int(lengths[key].max()), width)
            whole = key == "audio" and case == 1
            values = rng.integers(0, 256, shape) if whole else np.maximum(0, rng.standard_normal(shape))
            values = values.astype(np.float32)
            values[np.arange(shape[1]) >= lengths[key][:, None]] = 0
            part |= {key: values, f"len_{key}": lengths[key]}
        batches.append(clips(part, small["class_w"]))
    check_masks(method, batches[0], x)
    check_training(method, batches, x, lr)
