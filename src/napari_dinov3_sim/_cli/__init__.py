"""The commands behind `napari_dinov3_sim.cli`; imported only when one of them runs."""
