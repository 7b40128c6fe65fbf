"""What a variant of a method leaves out: which parts learn, and how its loss and distances follow from the whole's."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from avzsl.config.load import Project, load_project
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import AvzslError
from avzsl.methods import Batch, Clips, Dims, Method, build

torch.set_num_threads(1)


def project(folder: Path, preset: str, methods: list[str]) -> Project:
    values = {"benchmarks": {"toy": {"dataset": "demo"}}, "methods": methods, "preset": preset}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return load_project(folder / "config.yaml")


def method(name: str, folder: Path, preset: str = "corrected", **changes: Any) -> Method:
    configured = project(folder, preset, [name])
    what = configured.method(name, configured.benchmarks["toy"])
    torch.manual_seed(0)
    return build(what.config.module, Dims(10, 12, 8), {**what.options, **changes}).double()


def batch(seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randn(4, 8, generator=rng, dtype=torch.float64)

    def clips(shift: int) -> Clips:
        labels = (torch.arange(12) + shift) % 4
        audio, visual = (torch.rand(12, n, generator=rng, dtype=torch.float64) for n in (10, 12))
        return Clips(audio, visual, classes[labels], labels)

    return Batch(clips(0), clips(1), classes)


def moved(what: Method) -> set[str]:
    what.loss(batch()).backward()
    return {name for name, p in what.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


@pytest.mark.parametrize(
    "name,parts",
    [
        ("audio-only", {"g_a", "g_t"}),
        ("visual-only", {"g_v", "g_t"}),
        ("cjme-both", {"g_a", "g_v", "g_t"}),
        ("cjme-minus-lav", {"g_a", "g_v", "g_t", "attention"}),
        ("cjme-only-lta", {"g_a", "g_t", "attention"}),
    ],
)
def test_which_parts_of_cjme_learn(tmp_path, name, parts):
    assert {n.split(".")[0] for n in moved(method(name, tmp_path))} == parts


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
def test_cjme_with_all_losses_and_attention_is_cjme(tmp_path, preset):
    configured = project(tmp_path, preset, ["cjme", "cjme-minus-lav"])
    benchmark = configured.benchmarks["toy"]
    losses = []
    for name, changes in (("cjme", {}), ("cjme-minus-lav", {"loss_audio_visual": True})):
        what = configured.method(name, benchmark)
        torch.manual_seed(0)
        made = build(what.config.module, Dims(10, 12, 8), {**what.options, **changes}).double()
        torch.manual_seed(1)
        losses.append(made.loss(batch()))
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("weighting", ["per_sample", "broadcast"])
def test_each_half_of_the_weighted_triplets_adds_up(tmp_path, weighting):
    values = {}
    for name in ("cjme-minus-lav", "cjme-only-lta", "cjme-only-ltv"):
        made = method(name, tmp_path, weighting=weighting).eval()
        values[name] = made.terms(made.intermediates(batch()))["triplets"]
    torch.testing.assert_close(values["cjme-only-lta"] + values["cjme-only-ltv"], values["cjme-minus-lav"])


def test_a_branch_uses_its_own_modality_and_with_attention_both(tmp_path):
    b = batch().positive
    other = torch.rand(12, 10, dtype=torch.float64)
    for name, same in (("avca-visual", True), ("avca-visual-xatt", False)):
        made = method(name, tmp_path).eval()
        first, second = (made.distances(audio, b.visual, batch().classes)["both"] for audio in (b.audio, other))
        assert torch.equal(first, second) == same


def test_the_visual_branch_with_attention_has_avcas_visual_terms(tmp_path):
    """In evaluation mode, with AVCA's weights, the branch's loss is the sum of AVCA's terms without sound."""
    whole, part = method("avca", tmp_path).eval(), method("avca-visual-xatt", tmp_path).eval()
    names = {"A_enc": "encoders.audio", "V_enc": "encoders.visual", "V_proj": "proj", "V_rec": "rec"}
    state = {}
    for key, value in whole.state_dict().items():
        head, _, tail = key.partition(".")
        if head not in {"A_proj", "A_rec"}:
            state[".".join(x for x in ("branches.visual", names.get(head, head), tail) if x)] = value
    part.load_state_dict(state)
    b = batch()
    terms = whole.terms(whole.intermediates(b.positive, b.negative), b.positive.text)
    silent = {"lt_1", "lt_3", "lrec_a", "lct_a", "lw_ta", "lw_at", "lr_phi_a", "lr_theta_a"}
    assert silent < set(terms)
    torch.testing.assert_close(part.loss(b), sum(value for key, value in terms.items() if key not in silent))
    torch.testing.assert_close(
        part.distances(b.positive.audio, b.positive.visual, b.classes)["both"],
        whole.distances(b.positive.audio, b.positive.visual, b.classes)["both"],
    )


def test_separate_branches_share_nothing(tmp_path):
    made = method("avca-no-xatt", tmp_path).eval()
    b = batch().positive
    both = made.distances(b.audio, b.visual, batch().classes)["both"]
    parts = [branch.distances(b.audio, b.visual, batch().classes) for branch in made.branches.values()]
    torch.testing.assert_close(both, (parts[0] + parts[1]) / 2)


def test_apn_and_ranking_test_with_the_score_they_trained(tmp_path):
    b = batch()
    for name in ("ale", "apn"):
        made = method(name, tmp_path).eval()
        points = made.embed(b.positive.audio, b.positive.visual, b.classes)["both"]
        torch.testing.assert_close(
            made.distances(b.positive.audio, b.positive.visual, b.classes)["both"], -points @ b.classes.T
        )


def test_ranking_losses_from_their_definitions(tmp_path):
    b = batch()
    for name in ("ale", "sje", "devise"):
        made = method(name, tmp_path).eval()
        scores, total = made.scores(b).detach(), 0.0
        for i, y in enumerate(b.positive.labels.tolist()):
            costs = [max(0.0, 0.1 + float(scores[i, j] - scores[i, y])) for j in range(4) if j != y]
            k = sum(c > 0 for c in costs)
            rank = sum(1 / n for n in range(1, k + 1)) / max(k, 1)
            total += {"ale": rank * sum(costs), "sje": max(costs), "devise": sum(costs)}[name]
        assert float(made.loss(b).detach()) == pytest.approx(total / 12, rel=1e-6)


def clips_of(audio: torch.Tensor, visual: torch.Tensor) -> Any:
    positive = batch().positive
    return SimpleNamespace(
        blocks=lambda: iter([Clips(audio, visual, positive.text, positive.labels)]), batches=lambda *_: iter(()),
        classes=batch().classes,
    )  # fmt: skip


@pytest.mark.parametrize("audio,visual,refused", [(-1, 0, True), (0, -1, True), (-1, -1, True), (0, 0, False)])
def test_fvaegan_refuses_signed_features_as_released(tmp_path, audio, visual, refused):
    """One negative number of either modality is enough, and zeros are none."""
    made, p = method("fvaegan", tmp_path, "as_released"), batch().positive
    a, v = p.audio.clone(), p.visual.clone()
    a[3, 2], v[5, 1] = audio, visual
    with pytest.raises(AvzslError, match="minmax") if refused else contextlib.nullcontext():
        made.epoch(clips_of(a, v), {}, TrainingConfig())


def test_fvaegan_brings_features_to_the_generators_range(tmp_path):
    made, p = method("fvaegan", tmp_path, scaling="minmax"), batch().positive
    audio = p.audio.clone()
    audio[:, 0] = 3.0  # never varies
    made.epoch(clips_of(audio, p.visual), {}, TrainingConfig())
    whole = made.joined(audio, p.visual)
    assert (whole.amin(0) == 0).all()
    assert whole.amax(0).tolist() == [1.0] * 12 + [0.0] + [1.0] * 9
    assert made.joined(audio + 9, p.visual - 9).unique().tolist() == [0.0, 1.0], "what lies outside stays in the range"


def test_fvaegans_losses_from_their_definitions(tmp_path):
    made, w = method("fvaegan", tmp_path, adversarial_weight=0.3), batch().positive.text
    x = torch.rand(12, 22, dtype=torch.float64)
    encoded = made.encoder(x, w)
    normal = torch.distributions.Normal
    latent = normal(encoded.mean, (0.5 * encoded.log_variance).exp())

    def judge(fake: torch.Tensor) -> torch.Tensor:
        return made.critic(torch.cat([fake, w], 1))

    def decoded(z: torch.Tensor) -> torch.Tensor:
        return made.generator(torch.cat([z, w], 1))

    torch.manual_seed(0)
    got = made.generator_loss(x, w)
    torch.manual_seed(0)
    from_clip, free = decoded(latent.mean + latent.stddev * torch.randn_like(w)), decoded(torch.randn_like(w))
    kl = torch.distributions.kl_divergence(latent, normal(torch.zeros_like(w), 1.0)).sum()
    likelihood = (x * from_clip.log() + (1 - x) * (1 - from_clip).log()).sum()
    torch.testing.assert_close(got, kl - likelihood - 0.3 * 12 * (judge(from_clip).mean() + judge(free).mean()))
    torch.manual_seed(0)
    got = made.critic_loss(x, w)
    torch.manual_seed(0)
    fake = decoded(latent.mean + latent.stddev * torch.randn_like(w)).detach()
    share = torch.rand_like(x[:, :1])
    between = (share * x + (1 - share) * fake).requires_grad_()
    slope = torch.autograd.grad(judge(between).sum(), between)[0].norm(dim=1)
    torch.testing.assert_close(got, judge(fake).mean() - judge(x).mean() + 10 * (slope - 1).square().mean())


def test_fvaegan_trains_its_parts(tmp_path):
    made, b = method("fvaegan", tmp_path), batch()
    x = torch.rand(12, 22, dtype=torch.float64)
    torch.manual_seed(0)
    made.critic_loss(x, b.positive.text).backward()
    assert {n.split(".")[0] for n, p in made.named_parameters() if p.grad is not None} == {"critic"}
    made.zero_grad()
    made.generator_loss(x, b.positive.text).backward()
    assert {"encoder", "generator"} <= {n.split(".")[0] for n, p in made.named_parameters() if p.grad is not None}
