"""Layers that use the whole batch of a step, also where several processes share it."""

from pytorch_lightning.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaezoo.distributed import average, dropout, process_count


class Dropout(nn.Dropout):
    """Dropout whose mask does not depend on the number of processes."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


class WholeBatchNorm(LayerSync):
    """Lightning's plugin that lets batch normalisation use the whole batch; torch's SyncBatchNorm needs GPUs."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Let all layers of batch normalisation use the whole batch."""
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                layer.__class__ = type(layer.__class__.__name__, (Whole, layer.__class__), {})
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Let them use the rows of their own process again."""
        for layer in model.modules():
            if isinstance(layer, Whole):
                layer.__class__ = layer.__class__.__mro__[2]
        return model


class Whole(_BatchNorm):
    """Batch normalisation over the rows of all processes; `WholeBatchNorm` puts it before the class of a layer."""

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
            self.update_statistics(mean.detach(), variance.detach(), process_count() * x.numel() // x.shape[1])
        normed = centred * (variance.view(shape) + self.eps).rsqrt()
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        return normed.to(x.dtype)

    def update_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics by those of a batch with `count` values of each feature."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), self.momentum)
        self.num_batches_tracked += 1
