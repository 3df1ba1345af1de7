"""The predecessor's convolutions, computed only where there is something to compute.

Of the cleaned array 99.8 % is zero. What a convolution makes of silence is a constant, so that it is computed once and
filled in: in the first layer for every place and time without a spike nearby, in the following ones for every time at
which the whole grid is silent. The result is the same up to rounding.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

POOLED = 4  # time is halved twice by the layers after the first
MOST_FED = 0.8  # share of the time from which on leaving out the rest does not pay
SILENT_STEPS = 5  # of which the middle one is far enough from both ends


def convolve_spikes(chunk: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """``max_pool3d(conv3d(chunk, weight, bias, padding=1), 2).relu()``, computed near values other than zero.

    Parameters
    ----------
    chunk
        (B, 1, rows, cols, time).
    weight, bias
        (channels, 1, 3, 3, 3) and (channels,).

    Returns
    -------
    maps
        (B, channels, rows // 2, cols // 2, time // 2).
    loud
        (B, rows // 2, cols // 2, time // 2) bool: where it was computed; elsewhere it is ``bias.relu()``.
    """
    padded = pad(chunk[:, 0], (1, 1, 1, 1, 1, 1))
    patches = padded.unfold(1, 4, 2).unfold(2, 4, 2).unfold(3, 4, 2)  # (B, rows // 2, cols // 2, time // 2, 4, 4, 4)
    loud = _find_loud_cells(chunk[:, 0])
    kernels = _place_kernel(weight[:, 0])  # (8, channels, 4, 4, 4)
    found = patches[loud].flatten(1) @ kernels.flatten(2).flatten(0, 1).T  # (cells, 8 * channels)
    found = (found.unflatten(1, (8, -1)).max(1).values + bias).relu()
    maps = bias.relu().expand(*loud.shape, -1).index_put(loud.nonzero(as_tuple=True), found)
    return maps.permute(0, 4, 1, 2, 3), loud


def convolve_loud_times(layers: Callable[[Tensor], Tensor], maps: Tensor, silent: Tensor, loud: Tensor) -> Tensor:
    """``layers(maps)``, computed for the times near a loud one.

    Parameters
    ----------
    layers
        Two convolutions over 3 times, each padded by 1 and pooled by 2: (B, c, rows, cols, time) →
        (B, d, rows // 4, cols // 4, time // 4).
    maps
        (B, c, rows, cols, time).
    silent
        (c,) what stands in ``maps`` at all places of a silent time.
    loud
        (B, time) bool: the times at which it may be something else.
    """
    steps = maps.shape[-1] // POOLED
    loud_step = loud[:, : steps * POOLED].unflatten(1, (steps, POOLED)).any(2)
    needed = _widen(loud_step)  # a step sees less than one step to both sides
    fed = _widen(needed)
    if steps <= SILENT_STEPS or fed.float().mean() > MOST_FED:
        return layers(maps)
    most = max(1, int(fed.sum(1).max()))
    order = (~fed).to(torch.uint8).argsort(stable=True)[:, :most]  # of each chunk, the fed steps first
    chunk = torch.arange(len(maps), device=maps.device)[:, None]
    pieces = maps[..., : steps * POOLED].unflatten(-1, (steps, POOLED)).permute(0, 4, 2, 3, 5, 1)[chunk, order]
    strips = pieces.permute(0, 2, 3, 1, 4, 5).flatten(3, 4).permute(0, 4, 1, 2, 3)  # (B, c, rows, cols, fed times)
    found = layers(strips).permute(0, 4, 1, 2, 3)  # (B, fed steps, d, rows // 4, cols // 4)
    silence = silent[None, :, None, None, None].expand(1, -1, *maps.shape[2:4], SILENT_STEPS * POOLED)
    constant = layers(silence)[0, ..., SILENT_STEPS // 2]
    used = needed.gather(1, order)
    whole = constant.expand(*fed.shape, *constant.shape)
    whole = whole.index_put((chunk.expand_as(order)[used], order[used]), found[used])
    ends = _compute_ends(layers, maps, steps)
    return torch.cat([ends[0][:, None], whole[:, 1:-1], ends[1][:, None]], 1).permute(0, 2, 3, 4, 1)


def _compute_ends(layers: Callable[[Tensor], Tensor], maps: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(B, d, rows // 4, cols // 4) of the first and the last step: they see the padding, which is not silence."""
    first, last = maps[..., : 3 * POOLED], maps[..., (steps - 3) * POOLED :]
    return layers(first)[..., 0], layers(last)[..., -1]


def _find_loud_cells(chunk: Tensor) -> Tensor:
    """(B, rows, cols, time) → bool (B, rows // 2, cols // 2, time // 2): whether a cell sees a value other than zero.

    Cell i sees the values 2 i - 1 to 2 i + 2, so that a value is seen by two cells along each axis.
    """
    shape = [size // 2 for size in chunk.shape[1:]]
    wide = torch.zeros(len(chunk), *(size + 2 for size in shape), dtype=torch.bool, device=chunk.device)
    sample, *place = chunk.nonzero(as_tuple=True)
    rows, cols, times = (torch.stack([(value + 1) // 2, (value + 1) // 2 + 1]) for value in place)
    wide[sample, rows[:, None, None], cols[None, :, None], times[None, None, :]] = True
    return wide[:, 1:-1, 1:-1, 1:-1]


def _place_kernel(kernel: Tensor) -> Tensor:
    """(channels, 3, 3, 3) → (8, channels, 4, 4, 4): the kernel at each of the eight positions that are pooled."""
    corners = torch.cartesian_prod(*(torch.arange(2),) * 3).tolist()
    return torch.stack([pad(kernel, (time, 1 - time, col, 1 - col, row, 1 - row)) for row, col, time in corners])


def _widen(steps: Tensor) -> Tensor:
    """(B, steps) bool, and true next to what was."""
    wide = pad(steps, (1, 1))
    return wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
