"""Running an ONNX file with onnxruntime, and scoring it."""

from pathlib import Path

import torch

from ...extras import require_extra
from ...objectives.accuracy.scoring import Score, score_answers
from ...objectives.data import ImageSet, Normalisation


class OnnxModel:
    """An ONNX file that runs on the CPU.

    Args:
        path: path of the file.
        threads: number of threads.

    Raises:
        InputError: the extra `onnx` is not installed.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        require_extra("onnx", "running an ONNX file")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._input = self.session.get_inputs()[0].name

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Scores, [batch, classes], of normalised images, [batch, channels, height, width]."""
        (scores,) = self.session.run(None, {self._input: images.float().cpu().numpy()})
        return torch.from_numpy(scores)


def score_file(
    path: Path, images: ImageSet, normalisation: Normalisation, batch_size: int = 256
) -> Score:
    """Score an ONNX file on images, as `objectives.accuracy.scoring.score` scores a network.

    Raises:
        TrainingDiverged: a score is NaN or infinite.
    """
    model = OnnxModel(path, torch.get_num_threads())
    return score_answers(
        lambda pixels: model(normalisation(pixels)), images, batch_size, "the file"
    )
