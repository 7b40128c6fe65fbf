"""ClipClap's options, and the alignment of cosines that Hyper-AVZSL adds to AVCA."""

from __future__ import annotations

import pytest
import torch

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods import Batch, Clips, Dims
from avzsl.methods.avca import alignment
from tests.methods.reference import as_released

torch.set_num_threads(1)
DIMS = Dims(6, 8, 14)


def batch(seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randn(4, DIMS.text, generator=rng, dtype=torch.float64)
    labels = torch.arange(12) % 4
    audio, visual = (torch.rand(12, n, generator=rng, dtype=torch.float64) for n in (DIMS.audio, DIMS.visual))
    clips = Clips(audio, visual, classes[labels], labels)
    return Batch(clips, clips, classes)


def make(name: str = "clipclap", dims: Dims = DIMS, **changes: object):
    torch.manual_seed(0)
    return as_released(name, dims, **changes)


@pytest.mark.parametrize(
    "changes,deaf,blind",
    [
        ({}, False, False),
        ({"modalities": "audio", "text": "audio"}, False, True),
        ({"modalities": "visual"}, True, False),
    ],
)
def test_modalities(changes, deaf, blind):
    method, b = make(**changes).eval(), batch()
    clips, other = b.positive, batch(1).positive
    plain = method.distances(clips.audio, clips.visual, b.classes)["both"]
    assert torch.equal(method.distances(other.audio, clips.visual, b.classes)["both"], plain) == deaf
    assert torch.equal(method.distances(clips.audio, other.visual, b.classes)["both"], plain) == blind


@pytest.mark.parametrize("text,columns", [("all", slice(14)), ("visual", slice(8)), ("audio", slice(8, 14))])
def test_columns_of_the_class_embeddings(text, columns):
    method, b = make(text=text).eval(), batch()
    changed = b.classes.clone()
    changed[:, columns] += 1
    same = b.classes.clone()
    same[:, [i for i in range(14) if i not in range(14)[columns]]] += 1
    points = [method.embed(b.positive.audio, b.positive.visual, w)["classes"] for w in (b.classes, same, changed)]
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


def test_one_models_text_needs_embeddings_of_both_models():
    make(dims=Dims(6, 8, 5))
    with pytest.raises(ConfigError, match="have 5 columns; use all"):
        make(dims=Dims(6, 8, 5), text="audio")


def test_the_gradient_flows_into_what_is_reconstructed():
    method, b = make().eval(), batch()
    x = method.intermediates(b)
    terms = method.terms(x, b.positive.labels)
    direct = torch.autograd.grad(terms["rec"], x["u"], retain_graph=True)[0]
    through_rho_alone = torch.autograd.grad(
        (x["rho_o"] - x["u"].detach()).square().mean() + (x["rho_w"] - x["u"].detach()).square().mean(), x["u"]
    )[0]
    assert not torch.allclose(direct, through_rho_alone)


def test_the_released_pass_changes_statistics_only():
    methods = [make(statistics_passes=on) for on in (True, False)]
    for method in methods:
        optimisers = method.optimisers(TrainingConfig())
        method.train()
        for seed in range(3):
            method.step(batch(seed), optimisers, 0)
    for (name, one), other in zip(methods[0].state_dict().items(), methods[1].state_dict().values(), strict=True):
        moves = ("running" in name or "num_batches" in name) and not name.startswith("D_")
        assert torch.equal(one, other) != moves, name


def test_alignment_sees_directions_and_nothing_else():
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(7, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    scaled = x * torch.rand(7, 1, generator=rng, dtype=torch.float64)
    # What the released code makes of a row before it takes cosines, for two curvatures.
    for c in (0.01, 1.0):
        limit = 0.999 / c**0.5
        clipped = x * (limit / x.norm(dim=1, keepdim=True)).clamp_max(1)
        norm = c**0.5 * clipped.norm(dim=1, keepdim=True)
        torch.testing.assert_close(alignment(norm.atanh() / norm * clipped, y), alignment(x, y))
    torch.testing.assert_close(alignment(scaled, y), alignment(x, y))
    assert alignment(x, x) == 0
    assert alignment(torch.zeros(7, 5), y.float()).isfinite()


def test_alignment_is_added_to_avca_and_only_where_asked_for():
    b = batch()
    plain, hyper = make("avca", alignment=0.0).eval(), make("avca", alignment=1e-3).eval()
    values = plain.intermediates(b.positive, b.negative)
    terms = plain.terms(values, b.positive.text)
    more = hyper.terms(values, b.positive.text)
    assert set(more) - set(terms) == {"align", "align_neg"}
    torch.testing.assert_close(more["align"], 1e-3 * alignment(values["phi_v"], values["phi_a"]))
