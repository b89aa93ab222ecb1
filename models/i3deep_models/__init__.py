"""Networks for i3Deep: plan, train, export, bundle, all through nnU-Net's own planner, preprocessing, augmentation and
trainer."""
