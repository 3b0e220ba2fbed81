"""A stacked denoising autoencoder with softmax regression on top (Vincent et al. 2010, JMLR 11, 3371-3408)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core.training import Training, descend
from invbench.models import ImageModel, training_steps
from invbench.registry import model, parameter

_BLOCK = 256  # pictures that are encoded at a time


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Autoencoder(ImageModel):
    """Sigmoid layers of `units` and `top_units`, each first trained to undo masking noise, and softmax regression.

    1000 and 300 units are those of Fredrikson et al. 2015, section 5 (10.1145/2810103.2813677; from memory, their noise
    and steps are unverified). Each layer is pretrained on what the layer below makes of the training pictures,
    without labels: a share `masking` of its inputs is set to 0, and a decoder with the transposed weights and a bias of
    its own has to restore them (Vincent et al. 2010, sections 3 and 4). 0 is mean grey, for networks see normalised
    pixels. The lowest decoder is affine with the squared error; the other has a sigmoid with the cross-entropy, for its
    inputs lie in (0, 1). Then the layers are trained on labels like every victim. PyTorch's own start.
    """

    training_steps: int = training_steps(500)
    units: int = parameter(1000, at_least=1, unit="units", help="size of the first hidden layer")
    top_units: int = parameter(300, at_least=1, unit="units", help="size of the second hidden layer")
    pretraining_steps: int = parameter(
        300, at_least=0, unit="batches of 32", help="how long each layer learns to undo noise before labels are used"
    )
    masking: float = parameter(0.3, at_least=0, below=1, help="share of a layer's inputs that pretraining sets to 0")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        return StackedAutoencoder(image_shape, (self.units, self.top_units), classes)

    @property
    def pretrains(self) -> bool:
        return self.pretraining_steps > 0

    def pretrain(self, network: nn.Module, images: Tensor, generator: torch.Generator, training: Training) -> None:
        """Train each hidden layer in turn to undo noise; the lowest decoder is kept as it is then."""
        assert isinstance(network, StackedAutoencoder)
        if not self.pretrains:
            return
        inputs, device = images.flatten(1), next(network.parameters()).device
        for number, layer in enumerate(network.hidden()):
            denoiser = Denoiser(layer, self.masking, squashed=number > 0).to(device)
            loss = functional.binary_cross_entropy if number else functional.mse_loss
            descend(denoiser, inputs, inputs, generator, replace(training, steps=self.pretraining_steps, loss=loss))
            with torch.no_grad():
                if number == 0:
                    network.decoder_weight.copy_(layer.weight)
                    network.decoder_bias.copy_(denoiser.bias)
                inputs = torch.cat([layer(some.to(device)).sigmoid().cpu() for some in torch.split(inputs, _BLOCK)])


class StackedAutoencoder(nn.Sequential):
    """A multi-layer perceptron of sigmoid layers, the first of which can also be run backwards.

    Its decoder is a buffer: training on labels leaves it as pretraining made it, and what clients share is what they
    share of an MLP. (With the weights that labels went on to train, transposed, it decodes nothing: on AT&T's faces
    the squared error of held-out pictures, whose variance is 1, is 2.3 instead of 0.5.)
    """

    decoder_weight: Tensor  # (units, C H W)
    decoder_bias: Tensor  # (C H W,)

    def __init__(self, image_shape: tuple[int, int, int], units: tuple[int, ...], classes: int) -> None:
        sizes = [math.prod(image_shape), *units]
        hidden = [part for above in pairwise(sizes) for part in (nn.Linear(*above), nn.Sigmoid())]
        super().__init__(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))
        self.image_shape = image_shape
        self.register_buffer("decoder_weight", self.hidden()[0].weight.detach().clone())
        self.register_buffer("decoder_bias", torch.zeros(sizes[0]))

    def hidden(self) -> list[nn.Linear]:
        """The linear maps of the hidden layers, from below."""
        return [layer for layer in self if isinstance(layer, nn.Linear)][:-1]

    def encode(self, images: Tensor) -> Tensor:
        """Normalised pictures `(N, C, H, W)` to codes of the first hidden layer `(N, units)`, in (0, 1)."""
        code: Tensor = self.hidden()[0](images.flatten(1)).sigmoid()
        return code

    def decode(self, codes: Tensor) -> Tensor:
        """Codes of the first hidden layer to normalised pictures."""
        return (codes @ self.decoder_weight + self.decoder_bias).reshape(-1, *self.image_shape)

    def read(self, codes: Tensor) -> Tensor:
        """Codes of the first hidden layer to class scores `(N, classes)`."""
        for part in list(self)[3:]:
            codes = part(codes)
        return codes


class Denoiser(nn.Module):
    """One layer with its decoder: inputs `(N, d)`, of which a share is set to 0 while it trains, restored."""

    def __init__(self, layer: nn.Linear, masking: float, *, squashed: bool) -> None:
        super().__init__()
        self.layer, self.bias = layer, nn.Parameter(torch.zeros(layer.in_features))
        self.masking, self.squashed = masking, squashed

    def forward(self, inputs: Tensor) -> Tensor:
        # Dropout enlarges what it keeps; masking noise does not.
        kept = functional.dropout(inputs, self.masking, self.training) * (1 - self.masking if self.training else 1)
        restored: Tensor = self.layer(kept).sigmoid() @ self.layer.weight + self.bias
        return restored.sigmoid() if self.squashed else restored
