"""All networks of a bundle in ten minutes of one graphics card.

Cases, augmentation and simulated experts live on the card, so that the card never waits for a processor. What is
trained is nnU-Net's planned network with nnU-Net's loss, optimiser and augmentations; what comes out is a trained
folder as nnU-Net writes it. `pack` needs nnU-Net and makes one file per task; `run` needs torch and
`dynamic_network_architectures` alone; `unpack` needs torch."""
