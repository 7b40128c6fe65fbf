"""Every named departure: the option does what it says, and only that."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import yaml

from avzsl.config.load import SHIPPED
from avzsl.config.methods import MethodConfig, TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods import Batch, Clips, Dims, Method, build
from avzsl.methods.blocks import Dropout, pairwise

torch.set_num_threads(1)
DIMS = Dims(12, 10, 8)


def make(name: str, **options: object) -> Method:
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    unknown = set(options) - set(config.options)
    assert not unknown
    plain = {k: 0.0 for k in config.options if k.endswith("dropout") and k != "attention_dropout"}
    torch.manual_seed(0)
    return build(config.module, DIMS, {**config.options, **plain, **options})  # type: ignore[arg-type]


def batch(size: int = 9, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    classes = torch.nn.functional.normalize(torch.randn(5, DIMS.text, generator=rng), dim=1)

    def clips() -> Clips:
        labels = torch.randint(5, (size,), generator=rng)
        audio, visual = torch.rand(size, DIMS.audio, generator=rng), torch.rand(size, DIMS.visual, generator=rng)
        return Clips(audio, visual, classes[labels], labels)

    return Batch(clips(), clips(), classes)


def test_avca_position_embedding_moves_only_when_trained():
    for kind, moves in (("trained", True), ("frozen", False)):
        method = make("avca", position_embedding=kind)
        before = method.position.detach().clone()
        method.step(batch(), method.optimisers(TrainingConfig(weight_decay=1e-5)), 0)
        assert (not torch.equal(before, method.position)) == moves
        assert "position" in method.state_dict()
    assert make("avca", position_embedding="none").position is None


def test_avca_batch_norm_momenta():
    def momenta(method: Method) -> set[float]:
        return {m.momentum for m in method.modules() if isinstance(m, torch.nn.BatchNorm1d)}

    assert momenta(make("avca", last_bn_momentum=0.99)) == {0.1}
    two = make("avca", last_bn_momentum=0.99, two_bn_momenta=True)
    assert momenta(two) == {0.1, 0.99}
    assert [two.A_enc[0][1].momentum, two.A_enc[1][1].momentum] == [0.1, 0.99]
    assert two.D[1].momentum == two.W_proj[1].momentum == two.A_rec[1].momentum == 0.1


def test_avca_layer_norm_before_or_after_the_residual():
    x = torch.randn(4, 2, 300, generator=torch.Generator().manual_seed(1))
    post = make("avca", norm="post").cross_attention.eval()(x)
    torch.testing.assert_close(post.mean(-1), torch.zeros(4, 2), atol=1e-5, rtol=0)
    pre = make("avca", norm="pre").cross_attention.eval()(x)
    assert pre.mean(-1).abs().max() > 1e-3


def test_avca_feed_forward_blocks():
    shared, own = make("avca"), make("avca", feed_forward="per_modality")
    count = [sum(p.numel() for p in m.cross_attention.feed_forward.parameters()) for m in (shared, own)]
    assert count[1] == 2 * count[0]
    x = torch.randn(3, 2, 300)
    own.cross_attention.feed_forward[1].second.weight.data.zero_()
    own.cross_attention.feed_forward[1].second.bias.data.zero_()
    fed = own.cross_attention.eval()._feed(x)
    assert fed[:, 1].abs().max() == 0
    assert fed[:, 0].abs().max() > 0


def test_avca_dropout_after_the_attention():
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "avca.yaml").read_text()))
    for on in (True, False):
        method = build("avca", DIMS, {**config.options, "attention_dropout": on})
        assert (method.cross_attention.attention.dropout.p > 0) == on
        assert method.cross_attention.feed_forward[0].dropout.p > 0


@pytest.mark.parametrize(
    "option,terms",
    [("base", "lt_"), ("reconstruction", "lrec_"), ("composite", "lct_"), ("word", "lw_"), ("regularisation", "lr_")],
)
def test_avca_losses_can_be_left_out_one_by_one(option, terms):
    whole, without = make("avca"), make("avca", **{f"loss_{option}": False})
    b = batch()
    values = whole.intermediates(b.positive, b.negative)
    all_terms, some = whole.terms(values, b.positive.text), without.terms(values, b.positive.text)
    assert set(all_terms) - set(some) == {name for name in all_terms if name.startswith(terms)} != set()


def test_avca_outputs():
    b = batch()
    got = {kind: make("avca", output=kind).eval() for kind in ("visual", "audio", "sum", "min")}
    distances = {
        kind: m.distances(b.positive.audio, b.positive.visual, b.classes)["both"].detach() for kind, m in got.items()
    }
    torch.testing.assert_close(distances["sum"], distances["visual"] + distances["audio"])
    torch.testing.assert_close(distances["min"], torch.minimum(distances["visual"], distances["audio"]))
    assert not torch.allclose(distances["visual"], distances["audio"])


def test_avca_statistics_passes_change_statistics_and_nothing_else():
    methods = [make("avca", statistics_passes=on) for on in (True, False)]
    for method in methods:
        optimisers = method.optimisers(TrainingConfig())
        method.train()
        for seed in range(3):
            method.step(batch(seed=seed), optimisers, 0)
    for (name, a), b in zip(methods[0].named_parameters(), methods[1].parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.allclose(methods[0].A_proj[0][1].running_mean, methods[1].A_proj[0][1].running_mean)


def test_cjme_per_sample_weights_are_not_the_product_of_means():
    b = batch()
    values = {}
    for kind in ("per_sample", "broadcast"):
        method = make("cjme", weighting=kind).train()
        x = method.intermediates(b)
        values[kind] = method.terms(x)["triplets"].item()
    assert values["per_sample"] != pytest.approx(values["broadcast"], rel=1e-6)


def test_cjme_broadcast_is_the_mean_of_the_released_matrix():
    from avzsl.methods.blocks import triplet

    method, b = make("cjme", weighting="broadcast").train(), batch()
    x = method.intermediates(b)
    l_ta, l_tv = (triplet(x["t_p"], x[f"{m}_p"], x[f"{m}_q"], 1.0) for m in "av")
    alpha = x["alpha"][:, None]
    matrix = (1 - alpha) * l_ta + alpha * l_tv
    assert matrix.shape == (9, 9)
    torch.testing.assert_close(method.terms(x)["triplets"], matrix.mean())


def test_cjme_entropies_of_inverse_distances_by_hand():
    method = make("cjme", class_probabilities="inverse_distance")
    points, classes = torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    p = np.asarray([1, 1 / 3]) / (1 + 1 / 3)
    assert method._entropy(points, classes).item() == pytest.approx(-(p * np.log(p)).sum(), rel=1e-6)
    # A point on a class: no uncertainty left, and no NaN.
    assert method._entropy(classes[:1], classes).item() == pytest.approx(0.0, abs=1e-6)


def test_cjme_supervision_gives_the_surer_modality_its_weight():
    method = make("cjme")
    audio, visual = torch.tensor([0.2, 1.0, 0.5]), torch.tensor([1.0, 0.2, 0.55])
    assert method._supervision(audio, visual).tolist() == [0.0, 1.0, 0.5]


def test_cjme_selects_one_modality_when_decided_and_both_when_not():
    audio, visual = torch.full((3, 2), 1.0), torch.full((3, 2), 3.0)
    alpha = torch.tensor([[0.1], [0.6], [0.9]])
    assert make("cjme").select(audio, visual, alpha)[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert make("cjme", selection="hard").select(audio, visual, alpha)[:, 0].tolist() == [1.0, 3.0, 3.0]


def test_cjme_attention_losses():
    values = {kind: make("cjme", attention_loss=kind) for kind in ("cross_entropy", "squared_error")}
    x = {"alpha": torch.tensor([0.25, 0.5]), "supervision": torch.tensor([0.0, 1.0])}
    x |= {key: torch.zeros(2, 4) for key in ("a_p", "v_p", "t_p", "a_q", "v_q")}
    got = {kind: method.terms(x)["attention"].item() for kind, method in values.items()}
    assert got["cross_entropy"] == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    assert got["squared_error"] == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_cjme_classes_leave_the_text_statistics_alone_unless_released():
    for on, moved in ((False, 1), (True, 3)):
        method = make("cjme", text_layers=2, class_pass_statistics=on).train()
        method.intermediates(batch())
        assert method.g_t[0][1].num_batches_tracked.item() == moved


@pytest.mark.parametrize("name", ["avca", "cjme"])
def test_a_wrong_option_is_one_sentence(name):
    key = {"avca": "norm", "cjme": "weighting"}[name]
    with pytest.raises(ConfigError, match=rf"options: {key}: must be .* or .*, got 'nonsense'"):
        make(name, **{key: "nonsense"})
    with pytest.raises(ConfigError, match=r"margin: must be at least 0, got -1\.0"):
        make(name, margin=-1.0)


def test_a_module_that_does_not_exist_is_one_sentence():
    with pytest.raises(ConfigError, match="there is no method module 'nonesuch'"):
        build("nonesuch", DIMS, {})
    with pytest.raises(ConfigError, match="there is no method module 'blocks'"):
        build("blocks", DIMS, {})
    with pytest.raises(ConfigError, match="defines no METHOD"):
        build("avzsl.methods.options.apn", DIMS, {})


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_dropout_keeps_the_right_share_at_the_right_scale(p):
    torch.manual_seed(0)
    x = torch.ones(301, 333, requires_grad=True)
    dropout = Dropout(p)
    y = dropout(x)
    kept = (y != 0).float().mean().item()
    assert kept == pytest.approx(1 - p, abs=0.01)
    if 0 < p < 1:
        assert y.max().item() == pytest.approx(1 / (1 - p), rel=1e-4)
        y.sum().backward()
        torch.testing.assert_close(x.grad, y.detach())
        # Neither rows nor columns share their masks.
        assert (y != 0).float().mean(0).std().item() == pytest.approx((p * (1 - p) / 301) ** 0.5, rel=0.2)
        assert (y != 0).float().mean(1).std().item() == pytest.approx((p * (1 - p) / 333) ** 0.5, rel=0.2)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_of_all_but_one_value_in_65536():
    torch.manual_seed(0)
    kept = int((Dropout(1 - 2**-16)(torch.ones(2**22)) != 0).sum())
    assert 32 < kept < 100  # of 64 expected; one step too many would be 128


def test_pairwise_is_the_euclidean_distance_with_and_without_gradient():
    points, classes = torch.randn(1300, 6), torch.randn(7, 6)
    want = (points[:, None] - classes[None]).norm(dim=2)
    torch.testing.assert_close(pairwise(points, classes), want)
    points.requires_grad_(True)
    got = pairwise(points, classes)
    torch.testing.assert_close(got, want)
    got.sum().backward()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()


def test_pairwise_finds_the_one_near_pair_of_all():
    generator = torch.Generator().manual_seed(3)
    classes = torch.randn(20, 64, generator=generator)
    points = 10 * torch.randn(2000, 64, generator=generator)
    points[1500] = classes[7] + 1e-2 * torch.randn(64, generator=generator)
    want = torch.cdist(points.double(), classes.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(pairwise(points, classes).double(), want, rtol=2e-5, atol=0)


def test_pairwise_keeps_its_accuracy_for_near_points_far_from_the_origin():
    rng = torch.Generator().manual_seed(0)
    classes = 50 + torch.randn(40, 64, generator=rng)
    points = classes.repeat(30, 1) + 10 ** torch.linspace(-6, 1, 1200)[:, None] * torch.randn(1200, 64, generator=rng)
    points[7] = classes[3]
    true = (points.double()[:, None] - classes.double()).norm(dim=2)
    got = pairwise(points, classes)
    assert got[7, 3] == 0
    assert ((got - true).abs() / true.clamp_min(1e-30)).max() < 1e-5
    assert ((torch.cdist(points, classes) - true).abs() / true.clamp_min(1e-30)).max() > 1e-2
    # A class that is there twice is as far from every clip as its double: ties stay ties.
    twice = pairwise(points, torch.cat([classes, classes[:1]]))
    assert torch.equal(twice[:, 0], twice[:, -1])


def test_as_released_and_corrected_differ_by_the_listed_options():
    """docs/fidelity-methods.md names every option of the presets."""
    page = (SHIPPED.parent / "docs" / "fidelity-methods.md").read_text(encoding="utf-8")
    for name in ("avca", "cjme"):
        config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
        for option in config.presets["as_released"].options:
            assert f"`{option}`" in page, (name, option)
    for option in ("stage2_schedule", "beta", "class_rows", "calibration"):
        assert f"`{option}`" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avca", "cjme"])
def test_a_compiled_loss_is_the_loss(name, monkeypatch):
    # torch's compiler asks every loaded module for attributes, at which a placeholder of yt-dlp raises.
    for module in [module for module in sys.modules if module.split(".")[0] == "yt_dlp"]:
        monkeypatch.delitem(sys.modules, module)
    method, clips = make(name), batch(32)
    method.train()
    parameters = method.trained()
    plain = method.loss(clips)
    gradients = torch.autograd.grad(plain, parameters, allow_unused=True)
    compiled = torch.compile(method.loss)(clips)
    torch.testing.assert_close(compiled, plain)
    for got, wanted in zip(torch.autograd.grad(compiled, parameters, allow_unused=True), gradients, strict=True):
        if wanted is not None:
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
