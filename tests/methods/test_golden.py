"""AVCA and CJME under `as_released` against outputs of the released implementation, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avzsl.config.load import SHIPPED
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.methods import Batch, Clips, Dims, Method, build
from tests.methods import reference
from tests.methods.reference import TOLERANCE

torch.set_num_threads(1)

# Reference tensor name -> ours.
AVCA_NAMES = [
    (r"^pos_emb1D$", "position"),
    (r"^(\w+)\.fc\.([01])\.(.*)", lambda m: f"{m[1]}.{'' if one(m[1]) else '0.'}{m[2]}.{m[3]}"),
    (r"^(\w+)\.fc\.4\.(.*)", r"\1.1.0.\2"),
    (r"^(\w+)\.fc\.5\.(.*)", r"\1.1.1.\2"),
    (r"^cross_attention\.layers\.0\.0\.norm\.", "cross_attention.norm_attention."),
    (r"^cross_attention\.layers\.0\.1\.norm\.", "cross_attention.norm_feed_forward."),
    (r"^cross_attention\.layers\.0\.0\.fn\.to_out\.0\.", "cross_attention.attention.to_out."),
    (r"^cross_attention\.layers\.0\.0\.fn\.", "cross_attention.attention."),
    (r"^cross_attention\.layers\.0\.1\.fn\.net\.0\.", "cross_attention.feed_forward.0.first."),
    (r"^cross_attention\.layers\.0\.1\.fn\.net\.3\.", "cross_attention.feed_forward.0.second."),
]
CJME_NAMES = [
    (r"^triplet_net\.embedding_net1\.", "g_a."),
    (r"^triplet_net\.embedding_net2\.", "g_v."),
    (r"^triplet_net\.embedding_net3\.", "g_t."),
    (r"^attention_model\.", "attention."),
    (r"\.fc\.([01])\.", r".0.\1."),
    (r"\.fc\.4\.", ".1."),
]


def one(name: str) -> bool:
    return name in {"W_proj", "D", "A_rec", "V_rec"}


def ours(name: str, rules: list) -> str:
    return reference.renamed(name, rules)


def golden(shared: Path, name: str) -> dict[str, np.ndarray]:
    return reference.golden(shared, f"methods/{name}")


def as_released(name: str) -> tuple[MethodConfig, dict]:
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    options = {**config.options, **config.presets.get("as_released", Overrides()).options}
    return config, {
        key: 0.0 if key.endswith("dropout") and key != "attention_dropout" else v for key, v in options.items()
    }


def batches(shared: Path) -> list[Batch]:
    x = golden(shared, "inputs")
    classes = torch.from_numpy(x["class_w"])
    ids = x["class_ids"].tolist()

    def clips(i: int, side: str) -> Clips:
        labels = torch.from_numpy(x[f"batch_{i}/label_{side}"])
        part = (torch.from_numpy(x[f"batch_{i}/{key}_{side}"]) for key in ("audio", "video", "w"))
        return Clips(*part, labels)

    assert len(ids) == len(classes)
    return [Batch(clips(i, "p"), clips(i, "q"), classes) for i in range(5)]


def start(shared: Path, name: str, file: str, rules: list) -> tuple[Method, dict, dict]:
    config, options = as_released(name)
    method = build(config.module, Dims(512, 512, 300), options).double()
    x = golden(shared, file)
    state = {
        ours(k.removeprefix("state_0/"), rules): torch.from_numpy(v) for k, v in x.items() if k.startswith("state_0/")
    }
    method.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in state.items()})
    optimisers = method.optimisers(TrainingConfig(weight_decay=config.training.weight_decay))
    return method, optimisers, x


def check_digests(state: dict[str, torch.Tensor], x: dict, prefix: str, rules: list) -> int:
    return reference.check_digests(state, x, prefix, lambda name: ours(name, rules))


AVCA_INTERMEDIATES = {
    "audio_fe_attn": "attended_a",
    "video_fe_attn": "attended_v",
    "audio_fe_neg_attn": "attended_a_neg",
    "video_fe_neg_attn": "attended_v_neg",
}
# Inputs and output of the attention alone, which ours has inside `attended`, and results of the statistics passes.
AVCA_INSIDE = {"positive_input", "negative_input", "phi_attn", "phi_attn_neg", "se_em_hat1", "se_em_hat2"}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_avca_intermediates_terms_and_gradients_of_the_first_step(shared, mode):
    method, _, x = start(shared, "avca", "avca_ucf", AVCA_NAMES)
    method.position.requires_grad_(True)
    batch = batches(shared)[0]
    method.train(mode == "train")
    values = method.intermediates(batch.positive, batch.negative)
    terms = method.terms(values, batch.positive.text)
    prefix = f"{mode}_state_0/"
    compared = 0
    for key in (k for k in x if k.startswith(prefix + "intermediates/")):
        name = key.rsplit("/", 1)[1]
        if name in AVCA_INSIDE:
            continue
        np.testing.assert_allclose(
            values[AVCA_INTERMEDIATES.get(name, name)].detach(), x[key], **TOLERANCE, err_msg=key
        )
        compared += 1
    assert compared == 22
    np.testing.assert_allclose(
        torch.stack([method.cross_attention(torch.stack([values["phi_a"], values["phi_v"]], 1) + method.position)]).detach()[0],
        x[prefix + "intermediates/phi_attn"], **TOLERANCE,
    )  # fmt: skip
    assert set(terms) == {k.rsplit("/", 1)[1] for k in x if k.startswith(prefix + "terms/")}
    for name, value in terms.items():
        np.testing.assert_allclose(value.detach(), x[f"{prefix}terms/{name}"], **TOLERANCE, err_msg=name)
    np.testing.assert_allclose(sum(terms.values()).detach(), x[prefix + "total"], **TOLERANCE)
    if mode == "train":
        check_digests(method.state_dict(), x, "buffers_after_one_train_forward/", AVCA_NAMES)
        method.zero_grad()
        sum(terms.values()).backward()
        gradients = {name: parameter.grad for name, parameter in method.named_parameters()}
        assert check_digests(gradients, x, "grads_step1/", AVCA_NAMES) == 60


def test_avca_five_steps(shared):
    method, optimisers, x = start(shared, "avca", "avca_ucf", AVCA_NAMES)
    position = method.position.detach().clone()
    method.train()
    for number, batch in enumerate(batches(shared)):
        loss = method.step(batch, optimisers, 4 - number)
        np.testing.assert_allclose(loss, x["losses"][number], **TOLERANCE)
        if number in {0, 4}:
            assert check_digests(method.state_dict(), x, f"state_after_{number + 1}/", AVCA_NAMES) > 60
    assert torch.equal(method.position, position)
    method.eval()
    batch = batches(shared)[0]
    points = method.embed(batch.positive.audio, batch.positive.visual, batch.classes)
    for key, name in (("audio", "theta_a"), ("visual", "theta_v"), ("classes", "theta_w_classes")):
        np.testing.assert_allclose(points[key].detach(), x[f"eval_after_5/{name}"], **TOLERANCE)


def test_avca_without_the_last_pass_has_other_statistics(shared):
    """The reference recorded its buffers without the released step's final pass, too."""
    method, optimisers, x = start(shared, "avca", "avca_ucf", AVCA_NAMES)
    method.train()
    for batch in batches(shared):
        Method.step(method, batch, optimisers, 0)
    assert check_digests(method.state_dict(), x, "buffers_after_5_without_get_embeddings/", AVCA_NAMES) >= 20


def test_avca_leaves_out_only_passes_that_no_longer_count(shared):
    """180 steps with every statistics pass, and with only the ones near the end, give the same evaluation."""
    results = []
    for everything in (True, False):
        torch.manual_seed(0)
        config, options = as_released("avca")
        method = build(config.module, Dims(20, 20, 10), options).double()
        optimisers = method.optimisers(TrainingConfig())
        method.train()
        rng = torch.Generator().manual_seed(1)

        def clips(rng: torch.Generator = rng) -> Clips:
            audio, visual = (torch.rand(8, 20, generator=rng, dtype=torch.float64) for _ in range(2))
            return Clips(
                audio, visual, torch.rand(8, 10, generator=rng, dtype=torch.float64), torch.zeros(8, dtype=torch.long)
            )

        for number in range(180):
            method.step(Batch(clips(), clips(), clips().text), optimisers, 0 if everything else 179 - number)
        results.append({k: v for k, v in method.state_dict().items() if "num_batches" not in k})
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], rtol=1e-10, atol=1e-12, err_msg=key)


def test_cjme_first_step_and_five_steps(shared):
    method, optimisers, x = start(shared, "cjme", "cjme", CJME_NAMES)
    method.train()
    state = {k: v.clone() for k, v in method.state_dict().items()}
    first = batches(shared)[0]
    values = method.intermediates(first)
    names = {"alpha": "attention", "classes": "class_emb", "entropy_visual": "entropy_video"}
    for name in (
        "a_p",
        "v_p",
        "t_p",
        "a_q",
        "v_q",
        "classes",
        "entropy_audio",
        "entropy_visual",
        "supervision",
        "alpha",
    ):
        want = x[f"step1/{names.get(name, name)}"]
        np.testing.assert_allclose(values[name].detach().reshape(want.shape), want, **TOLERANCE, err_msg=name)
    terms = method.terms(values)
    for name, key in (("triplets", "ct_mean"), ("cross_modal", "L_av"), ("attention", "L_supervision")):
        np.testing.assert_allclose(terms[name].detach(), x[f"step1/{key}"], **TOLERANCE, err_msg=name)
    method.per_sample = True
    per_sample = method.terms(values)["triplets"].detach()
    np.testing.assert_allclose(per_sample, x["step1/ct_mean_if_weighting_were_per_sample"], **TOLERANCE)
    method.per_sample = False
    method.load_state_dict(state)
    for number, batch in enumerate(batches(shared)):
        loss = method.step(batch, optimisers, 4 - number)
        np.testing.assert_allclose(loss, x["losses"][number], **TOLERANCE)
        if number in {0, 4}:
            assert check_digests(method.state_dict(), x, f"state_after_{number + 1}/", CJME_NAMES) > 20
