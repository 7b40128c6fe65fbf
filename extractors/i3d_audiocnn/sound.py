"""The audio network's front end: 44.1-kHz sound -> log-mel frames, by librosa, whose defaults the released code takes."""

from __future__ import annotations

import numpy as np

RATE = 44100
FFT, HOP = 1024, 512
BANDS = 128
# Of one segment: its length, and how far the next one is.
FRAMES, SEGMENT_HOP = 128, 64
DECIBELS = 80.0  # below the loudest of a clip


class Spectrogram:
    """The log-mel frames of a mono sound that comes in chunks; power is held, 44 kB a second.

    Frames are centred between zeros, at most 80 dB below the clip's maximum, so that nothing is known before its end.
    """

    def __init__(self) -> None:
        self._held = np.zeros(FFT // 2, np.float32)
        self._powers: list[np.ndarray] = []
        self.samples = 0

    def add(self, chunk: np.ndarray) -> None:
        """Take samples (n,) of -1 ... 1."""
        self.samples += chunk.size
        self._held = np.concatenate([self._held, chunk.astype(np.float32)])
        if self._held.size > RATE:
            self._transform()

    def frames(self) -> np.ndarray:
        """Return dB frames, float32 (frames, 128); fewer than 128, a segment's length, end in zeros. Nothing may be added then."""
        import librosa  # here: other extractors' processes start without it

        self._held = np.concatenate([self._held, np.zeros(FFT // 2, np.float32)])
        self._transform()
        power = np.concatenate(self._powers)
        frames = np.asarray(librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=DECIBELS), np.float32)
        return np.pad(frames, ((0, max(0, FRAMES - len(frames))), (0, 0)))

    def _transform(self) -> None:
        import librosa

        count = (self._held.size - FFT) // HOP + 1
        if count > 0:
            piece = self._held[: (count - 1) * HOP + FFT]
            mel = librosa.feature.melspectrogram(
                y=piece, sr=RATE, n_fft=FFT, hop_length=HOP, n_mels=BANDS, center=False
            )
            self._powers.append(mel.T.astype(np.float32))
            self._held = self._held[count * HOP :]


def segments(frames: int) -> int:
    """Return how many segments the network makes of so many frames, 128 or more: halved six times, rounding down, less one."""
    return frames // SEGMENT_HOP - 1
