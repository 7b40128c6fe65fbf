"""Parts of AVCA trained without the rest: the ablations of Tables 3 and 4 of its paper.

The released code has none of these models, so they follow the text of section 4.5; `as_released` differs in the
position embedding and the batch-norm momenta only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.avca import HIDDEN, SPACE, WIDTH, CrossAttention
from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import layer, pairwise, triplet
from avzsl.methods.options.avca_branches import Options


class Branch(nn.Module):
    """One branch of AVCA with word projection and decoder of its own; `own` is its modality, audio or visual.

    With cross-attention both encoders feed the attention block, but only `own` is projected, reconstructed and used.
    Without it the projection takes phi itself (Table 3: "remove the cross-modal attention block").
    """

    def __init__(self, dims: Dims, options: Options, own: str) -> None:
        super().__init__()
        self.options, self.own = options, own
        momentum = options.last_bn_momentum if options.two_bn_momenta else 0.1
        r_enc, r_proj, r_dec = options.encoder_dropout, options.projection_dropout, options.decoder_dropout
        self.margin, self.attends = options.margin, options.cross_attention

        def encoder(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
            return nn.Sequential(layer(inputs, HIDDEN, dropout), layer(HIDDEN, outputs, dropout, momentum))

        widths = {"audio": dims.audio, "visual": dims.visual}
        self.encoders = nn.ModuleDict(
            {name: encoder(width, WIDTH, r_enc) for name, width in widths.items() if self.attends or name == own}
        )
        self.position = None
        if self.attends:
            if options.position_embedding != "none":
                trained = options.position_embedding == "trained"
                self.position = nn.Parameter(torch.randn(2, WIDTH), requires_grad=trained)
            self.cross_attention = CrossAttention(options)
        self.W_proj, self.D = layer(dims.text, SPACE, r_dec), layer(SPACE, dims.text, r_dec)
        self.proj, self.rec = encoder(WIDTH, SPACE, r_proj), layer(SPACE, WIDTH, r_dec)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Return phi (B, WIDTH) and theta (B, SPACE) of the branch's modality."""
        inputs = {"audio": audio, "visual": visual}
        phi = {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        mixed = phi[self.own]
        if self.attends:
            tokens = torch.stack([phi["audio"], phi["visual"]], dim=1)
            attended = self.cross_attention(tokens if self.position is None else tokens + self.position)
            mixed = mixed + attended[:, ("audio", "visual").index(self.own)]
        return phi[self.own], self.proj(mixed)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of eqs. 5-10 that name this modality or the class embedding alone, scalars."""
        p, q, w = batch.positive, batch.negative, batch.positive.text
        (phi, theta), (_, theta_neg) = self(p.audio, p.visual), self(q.audio, q.visual)
        theta_w, theta_w_neg = self.W_proj(w), self.W_proj(q.text)
        rho_w, rho, rho_neg = self.D(theta_w), self.D(theta), self.D(theta_neg)

        def t(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
            return triplet(anchor, positive, negative, self.margin).mean()

        d = functional.mse_loss
        terms = {}
        if self.options.loss_base:
            terms["lt"] = t(theta, theta_w, theta_neg) + t(theta_w, theta, theta_w_neg)
        if self.options.loss_reconstruction:
            terms["lrec"] = d(rho, w) + d(rho_w, w)
        if self.options.loss_composite:
            terms["lct"] = t(rho_w, rho, rho_neg)
        if self.options.loss_word:
            terms["lw"] = t(theta_w, theta, theta_neg) + t(theta, theta_w, theta_w_neg)
        if self.options.loss_regularisation:
            terms["lr"] = d(self.rec(theta), phi) + d(theta, theta_w)
        return terms

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> Tensor:
        """Return Euclidean distances (N, C) of theta to theta_w."""
        return pairwise(self(audio, visual)[1], self.W_proj(classes))


class AVCABranches(Method):
    """The visual branch, the audio branch, or both side by side with nothing shared (`branches: separate`).

    Separate branches have no parameter and no loss in common, so training them at once is training them individually;
    only the epoch is chosen for both together. Their distances are averaged (section 4.5).
    """

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        names = ("visual", "audio") if options.branches == "separate" else (options.branches,)
        parts = {name: Branch(dims, options, name) for name in names}
        # The dictionary of modules is for PyTorch, the plain one for the type checker.
        self.branches, self._parts = nn.ModuleDict(parts), parts

    def needs(self) -> frozenset[str]:
        """Return the modalities of the branches, both where one attends to the other."""
        attends = any(branch.attends for branch in self._parts.values())
        return frozenset({"audio", "visual"} if attends else self._parts)

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of all terms of all branches."""
        return torch.stack([term for branch in self._parts.values() for term in branch.terms(batch).values()]).sum()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return theta (N, SPACE) of a single branch and theta_w (C, SPACE); separate branches have no common space."""
        if len(self._parts) > 1:
            return {}
        [(name, branch)] = self._parts.items()
        # With attention the point holds both modalities.
        return {"both" if branch.attends else name: branch(audio, visual)[1], "classes": branch.W_proj(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the mean of the branches' distances."""
        parts = [branch.distances(audio, visual, classes) for branch in self._parts.values()]
        return {"both": torch.stack(parts).mean(0)}


METHOD = AVCABranches
