"""The methods that CL-Net is compared with: one file and one YAML (conf/method) each."""
