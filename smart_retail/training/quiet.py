"""Messages of libraries that tell a user nothing to act on; each with why it may be hidden."""

from __future__ import annotations

import logging
import warnings

WARNINGS = (
    r".*LightningCLI's args parameter is intended.*",  # the same words in sys.argv, for DDP's other processes
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's own use of torch, mended there some day
    r".*callbacks used to create the checkpoint need to be provided.*",  # testing needs no callbacks
    r".*loading a checkpoint outside the 'fit' stage.*",  # its weights are the averaged ones: as wanted
    r".*does not have many workers.*",  # on a small machine more workers only take cores from training
    r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run goes on in its folder
    r".*Experiment logs directory .* exists and is not empty.*",  # likewise
    r".*your dataloader is not resumable.*",  # the sampler is: FaceDataModule puts it where the run stopped
    r".*It is recommended to use `self.log.*sync_dist=True.*",  # torchmetrics have joined the ranks already
    r".*``compute`` method of metric .* was called before the ``update``.*",  # this rank saw no label of a task
    r".*Found .* module\(s\) in eval mode.*",  # a frozen backbone is meant to be
    r".*The number of training batches .* is smaller than the logging interval.*",
)
TIPS = (
    "litlogger",
    "litmodels",
    "`weights_only` was not set",
    "TPU available",
    "to estimate number of stepping",
    "Trainer.fit` stopped",
    "Time limit",
)


def quiet() -> None:
    """Hide them."""
    for pattern in WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.trainer.connectors.checkpoint_connector"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(tip in record.getMessage() for tip in TIPS)
