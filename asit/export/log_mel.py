"""The front end as a torch module, for the files that hold it: what :class:`asit.features.fbank.Fbank` computes.

B clips of one length, S samples, T frames, F mel bins. Written in the part of Python that torch.jit.script and
torch.export both take, with lengths that are known when the file is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asit.errors import AsitError
from asit.features.fbank import EPSILON, FbankSettings, window_function
from asit.features.mel import mel_filters


class LogMel(nn.Module):
    """Samples (B, S) float32 in [-1, 1] -> log-mels (B, T, F), not normalised.

    Raises:
        AsitError: dither, whose noise no file can hold.
    """

    def __init__(self, settings: FbankSettings) -> None:
        super().__init__()
        s = settings
        if s.dither:
            raise AsitError(
                f"--with-front-end: the model's front end adds noise of its own for each recording (dither "
                f"{s.dither:g}), which no file can; export without it"
            )
        self.size, self.shift, self.fft_size = s.window_size, s.window_shift, s.fft_size
        self.scale, self.preemphasis = float(s.waveform_scale), float(s.preemphasis)
        self.centre = s.subtract_mean and not s.remove_dc_offset
        self.remove_dc_offset, self.snip_edges, self.use_power = s.remove_dc_offset, s.snip_edges, s.use_power
        self.use_log_fbank, self.use_energy, self.raw_energy = s.use_log_fbank, s.use_energy, s.raw_energy
        self.energy_last, self.energy_floor = s.htk_compat, max(float(EPSILON), s.energy_floor)
        self.epsilon, self.cmn_window, self.cmn_floor = float(EPSILON), s.cmn_window, float(s.cmn_floor)
        filters = mel_filters(s.num_mel_bins, s.fft_size, s.sample_rate, s.low_freq, s.high_edge)
        self.register_buffer("window", torch.from_numpy(window_function(s.window, s.window_size, s.blackman_coeff)))
        self.register_buffer("filters", torch.from_numpy(filters.copy()))

    def forward(self, wave: Tensor) -> Tensor:
        """(B, S) -> (B, T, F), or (B, T, F + 1) with the energy."""
        wave = wave * self.scale
        if self.centre:
            wave = wave - wave.mean(dim=1, keepdim=True)
        x = self._frames(wave)  # (B, T, size)
        raw = x
        if self.remove_dc_offset:
            x = x - x.mean(dim=2, keepdim=True)
            raw = x
        x = (x - self.preemphasis * torch.cat([x[:, :, :1], x[:, :, :-1]], dim=2)) * self.window
        spectrum = torch.fft.rfft(x, n=self.fft_size).abs()
        if self.use_power:
            spectrum = spectrum * spectrum
        feats = spectrum @ self.filters
        if self.use_log_fbank:
            feats = feats.clamp(min=self.epsilon).log()
        if self.use_energy:
            energy = (
                (raw if self.raw_energy else x).square().sum(dim=2, keepdim=True).clamp(min=self.energy_floor).log()
            )
            feats = torch.cat([feats, energy] if self.energy_last else [energy, feats], dim=2)
        return self._subtract_mean(feats) if self.cmn_window > 0 else feats

    def _frames(self, wave: Tensor) -> Tensor:
        """(B, S) -> (B, T, size); without snip_edges the ends are mirrored as often as needed."""
        samples = wave.shape[1]
        first = 0
        if self.snip_edges:
            count = 1 + (samples - self.size) // self.shift
        else:
            count = (samples + self.shift // 2) // self.shift
            first = self.shift // 2 - self.size // 2
        starts = torch.arange(count, device=wave.device) * self.shift + first
        places = starts[:, None] + torch.arange(self.size, device=wave.device)[None, :]
        if not self.snip_edges:
            places = torch.remainder(places, 2 * samples)
            places = torch.where(places < samples, places, 2 * samples - 1 - places)
        return wave[:, places.reshape(-1)].reshape(wave.shape[0], count, self.size)

    def _subtract_mean(self, feats: Tensor) -> Tensor:
        """:func:`asit.features.cmn.subtract_mean`; of a clip no longer than the window its own mean."""
        feats = feats.clamp(min=self.cmn_floor)
        frame = torch.arange(feats.shape[1], device=feats.device)
        length = frame[-1:] + 1
        window = length.clamp(max=self.cmn_window)
        first = torch.minimum((frame - self.cmn_window // 2).clamp(min=0), length - window)
        sums = feats.double().cumsum(dim=1)
        sums = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=1)
        return feats - ((sums[:, first + window] - sums[:, first]) / window[:, None]).float()
