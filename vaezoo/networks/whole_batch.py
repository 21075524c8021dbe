"""Layers that look at the whole batch of a step, however many processes share it."""

from pytorch_lightning.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaezoo.distributed import average, dropout, process_count


class Dropout(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


class WholeBatchNorm(LayerSync):
    """Makes batch normalisation go by the whole batch, on any device; torch's SyncBatchNorm knows GPUs alone."""

    def apply(self, model: nn.Module) -> nn.Module:
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                layer.__class__ = type(layer.__class__.__name__, (Whole, layer.__class__), {})
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        for layer in model.modules():
            if isinstance(layer, Whole):
                layer.__class__ = layer.__class__.__mro__[2]
        return model


class Whole(_BatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        if process_count() == 1 or not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        others = [d for d in range(x.ndim) if d != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        wide = x if x.dtype.itemsize > 4 else x.float()
        mean = average(wide.mean(others))
        centred = wide - mean.view(shape)
        variance = average(centred.square().mean(others))
        if self.track_running_stats:
            self.learn(mean.detach(), variance.detach(), process_count() * x.numel() // x.shape[1])
        normed = centred * (variance.view(shape) + self.eps).rsqrt()
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        return normed.to(x.dtype)

    def learn(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """The running statistics take in those of a batch with `count` values of each feature."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), self.momentum)
        self.num_batches_tracked += 1
