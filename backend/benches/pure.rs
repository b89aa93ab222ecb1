//! The parts without a network: `cargo bench --package backend --bench pure`.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, criterion_group, criterion_main};
use i3deep::bundle::plans::{IntensityProperties, Normalization};
use i3deep::inference::sliding_window::{Combine, Window, logits, mirrors};
use i3deep::inference::{Network, NetworkError};
use i3deep::pipeline::crop::{bounding_box, nonzero};
use i3deep::pipeline::normalise::normalise;
use i3deep::pipeline::resample::resample;
use i3deep::pipeline::resample_labels::resample_labels;
use ndarray::{Array3, Array4};

/// A ball of texture in emptiness, with a hollow in it.
fn ball(n: usize) -> Array3<f32> {
    let middle = n as f32 / 2.0;
    Array3::from_shape_fn((n, n, n), |(z, y, x)| {
        let radius = [z, y, x].iter().map(|i| (*i as f32 - middle).powi(2)).sum::<f32>().sqrt() / middle;
        if (0.1..0.9).contains(&radius) { 100.0 + ((z * 31 + y * 17 + x * 7) % 101) as f32 } else { 0.0 }
    })
}

fn preprocessing(c: &mut Criterion) {
    let volume = ball(128);
    c.bench_function("mask, holes and box of 128³", |b| {
        b.iter(|| bounding_box(&nonzero(&[black_box(volume.view())])));
    });
    let ct = IntensityProperties { mean: 100.0, std: 30.0, percentile_00_5: 20.0, percentile_99_5: 190.0 };
    for (name, scheme) in [("z-score", Normalization::ZScore), ("CT", Normalization::Ct)] {
        c.bench_function(&format!("{name} of 128³"), |b| {
            b.iter(|| normalise(black_box(volume.view()), scheme, None, Some(ct)))
        });
    }
    let mut group = c.benchmark_group("slow");
    group.sample_size(10);
    group.bench_function("image 128³ → 160³, cubic", |b| {
        b.iter(|| resample(black_box(volume.view()), [160; 3], 3, None, |v| v as f32));
    });
    group.bench_function("image 32×256×256 → 64×200×200, thick slices", |b| {
        let thick = Array3::from_shape_fn((32, 256, 256), |(z, y, x)| ((z * 31 + y * 17 + x * 7) % 101) as f32);
        b.iter(|| resample(black_box(thick.view()), [64, 200, 200], 3, Some(0), |v| v as f32));
    });
    group.bench_function("labels 96³ → 128³", |b| {
        let labels = ball(96).mapv(|v| (v / 50.0) as i16);
        b.iter(|| resample_labels(black_box(labels.view()), [128; 3], 1, None));
    });
    group.finish();
}

/// Answers its input, so that only the walk is measured.
struct Echo {
    heads: usize,
}

impl Network for Echo {
    fn forward(&self, batch: &[f32], n: usize, _size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        let patch = batch.len() / n;
        Ok(batch.chunks_exact(patch).flat_map(|patch| patch.repeat(self.heads)).collect())
    }

    fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
        Ok(())
    }
}

fn walking(c: &mut Criterion) {
    let data: Array4<f32> = ball(96).insert_axis(ndarray::Axis(0));
    let window = Window { patch: [64, 64, 64], step: 0.5, two_dimensional: false, heads: 3, batch: 1, at_once: 1 };
    let mut group = c.benchmark_group("slow");
    group.sample_size(10);
    group.bench_function("window over 96³, patch 64³, 3 heads, no network", |b| {
        b.iter(|| {
            let mut go_on = |_| ControlFlow::Continue(());
            logits(&Echo { heads: 3 }, data.view(), &window, &mirrors(None), Combine::Mean, &mut go_on)
                .map(|l| l[0][[0, 0, 0, 0]])
        });
    });
    group.finish();
}

criterion_group!(benches, preprocessing, walking);
criterion_main!(benches);
