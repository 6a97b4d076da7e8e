"""CL-Net: continual and universal multi-organ CT segmentation with one frozen encoder and a decoder per anatomy."""
