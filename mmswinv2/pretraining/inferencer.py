"""Names what is in pictures: mmpretrain's inferencer, called as MMDetection's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.models import BaseClassifier
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from mmswinv2.drawing import draw_sample
from mmswinv2.inferencers import LOADERS


class ClassifierInferencer(ImageClassificationInferencer):
    """mmpretrain's inferencer, with calls and results as MMDetection's has them.

    Pictures are loaded as the config's test pipeline says. Each is drawn with its
    likeliest classes. No bar of progress is shown, which one thread alone could.

    Args:
        model (Config): Of a classifier.
        device (str, optional): Defaults to the first accelerator, and to the CPU where
            there is none.
        scope (str): Of the config. Defaults to 'mmpretrain'.

    Raises:
        ValueError: If the model is no classifier.
    """

    def __init__(
        self, model: Config, device: str | None = None, scope: str = "mmpretrain"
    ) -> None:
        init_default_scope(scope)
        kind = MODELS.get(model.model.type)
        if kind is None or not issubclass(kind, BaseClassifier):
            raise ValueError(
                f"{model.filename or 'the config'} has the model {model.model.type}, "
                "which names nothing in pictures; give a classifier, a detector or a "
                "segmentor. Weights of SimMIM are what these start from: "
                "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)"
            )
        super().__init__(model, pretrained=False, device=device or get_device())
        self.cfg, self.scope = self.config, scope
        self.visualizer = UniversalVisualizer()
        self.written = 0

    def __call__(
        self,
        inputs: object,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | Path = "",
        return_vis: bool = False,
    ) -> dict:
        """Predicts pictures.

        Args:
            inputs (object): Pictures, see :func:`build_inferencer`.
            return_datasamples (bool): Whether predictions are ``DataSample`` s.
                Defaults to False.
            batch_size (int): Pictures in a batch. Defaults to 1.
            out_dir (str | Path): Pictures are drawn into ``vis/`` in it. Defaults to
                '': none is.
            return_vis (bool): Whether pictures are drawn and returned. Defaults to
                False.

        Returns:
            dict: ``predictions``, each a dict of ``pred_scores``, ``pred_label``,
            ``pred_score`` and ``pred_class``; ``visualization``, RGB of 8 bits.
        """
        pictures = self._inputs_to_list(inputs)
        batches = self.preprocess(pictures, batch_size)
        found = [sample for batch in batches for sample in self.forward(batch)]
        drawn = self.visualize(pictures, found, out_dir, return_vis)
        return self.postprocess(found, drawn, return_datasamples)

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The test pipeline, whose loader gets pictures of any kind."""
        steps = cfg.test_dataloader.dataset.pipeline
        (loader,) = [step for step in steps if step["type"].endswith(LOADERS)]
        self.loader = TRANSFORMS.build(loader)
        rest = [TRANSFORMS.build(step) for step in steps if step != loader]
        return Compose([self._load, *rest])

    def _load(self, picture: str | np.ndarray | dict) -> dict:
        given = dict(img_path=picture) if isinstance(picture, str) else picture
        if isinstance(given, dict) and "img" not in given:
            return self.loader(given)
        picture = given["img"] if isinstance(given, dict) else given
        if picture.dtype != np.uint8:  # the only pixels that Pillow resizes
            picture = picture.clip(0, 255).round().astype(np.uint8)
        size = picture.shape[:2]
        return dict(img=picture, img_shape=size, ori_shape=size)

    def preprocess(self, inputs: Sequence, batch_size: int = 1) -> Iterator[dict]:
        """Batches as the data loader of a test gives them."""
        loaded = map(self.pipeline, inputs)
        yield from map(default_collate, self._get_chunk_data(loaded, batch_size))

    def visualize(
        self,
        inputs: Sequence,
        preds: Sequence[DataSample],
        out_dir: str | Path = "",
        return_vis: bool = False,
    ) -> list[np.ndarray] | None:
        """Draws predictions; pictures that are arrays are in RGB."""
        if not (out_dir or return_vis):
            return None
        drawn = []
        for picture, sample in zip(inputs, preds):
            name = f"{self.written:08}"
            if not isinstance(picture, np.ndarray):
                path = picture["img_path"] if isinstance(picture, dict) else picture
                picture, name = mmcv.imread(path, channel_order="rgb"), Path(path).stem
            meta = self.visualizer.dataset_meta
            drawn.append(draw_sample(picture, sample, meta, with_truth=False))
            if out_dir:
                file = Path(out_dir) / "vis" / f"{name}.png"
                mmcv.imwrite(drawn[-1][..., ::-1], str(file))
            self.written += 1
        return drawn

    def postprocess(
        self,
        preds: list[DataSample],
        visualization: list[np.ndarray] | None,
        return_datasamples: bool = False,
    ) -> dict:
        """Predictions and pictures in one dict."""
        found = super().postprocess(preds, visualization, return_datasamples)
        return dict(predictions=found, visualization=visualization)
