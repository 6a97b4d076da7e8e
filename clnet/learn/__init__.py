"""Training: losses, batches' meaning, the one place that makes a Trainer, and the CL-Net method itself."""
