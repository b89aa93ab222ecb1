//! The door to libtorch: TorchScript networks on CPU or CUDA. The only folder that names `tch`.

mod device;

#[cfg(test)]
pub(crate) use device::resized;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tch::{CModule, Cuda, Device, Kind, Tensor};

use super::{DeviceChoice, Network, NetworkError};

/// A TorchScript network on a device.
pub struct TorchNetwork {
    module: CModule,
    device: Device,
    channels: usize,
    two_dimensional: bool,
    /// Seed of the next batch, while dropout is on.
    dropout: Option<AtomicU64>,
}

/// libtorch draws all its random numbers from one generator: who draws holds this lock from seeding to the last number.
static GENERATOR: Mutex<()> = Mutex::new(());

impl TorchNetwork {
    /// Loads a network. `spatial_axes` is 2 or 3.
    ///
    /// # Errors
    /// [`NetworkError::Engine`] if the file is no TorchScript archive, [`NetworkError::NoDevice`].
    pub fn load(file: &Path, channels: usize, spatial_axes: usize, choice: DeviceChoice) -> Result<Self, NetworkError> {
        // Without the profiling executor the first forward is as fast as the others, and results do not depend on how often it ran.
        tch::jit::set_profiling_mode(false);
        tch::jit::set_graph_executor_optimize(false);
        let device = device(choice)?;
        let mut module = CModule::load_on_device(file, device).map_err(engine)?;
        module.f_set_eval().map_err(engine)?;
        Ok(Self { module, device, channels, two_dimensional: spatial_axes == 2, dropout: None })
    }
}

impl Network for TorchNetwork {
    fn forward(&self, batch: &[f32], n: usize, [z, y, x]: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        let size = |k: usize| k as i64;
        let shape = if self.two_dimensional {
            vec![size(n), size(self.channels), size(y), size(x)]
        } else {
            vec![size(n), size(self.channels), size(z), size(y), size(x)]
        };
        let _no_grad = tch::no_grad_guard();
        let input =
            Tensor::f_from_slice(batch).and_then(|t| t.f_reshape(&shape)).and_then(|t| t.f_to_device(self.device)).map_err(engine)?;
        let output = match &self.dropout {
            None => self.module.forward_ts(&[input]),
            Some(seed) => {
                let _drawing = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
                tch::manual_seed(seed.fetch_add(1, Ordering::Relaxed) as i64);
                self.module.forward_ts(&[input])
            }
        };
        let output = output.map_err(engine)?;
        let output =
            output.f_to_device(Device::Cpu).and_then(|t| t.f_to_kind(Kind::Float)).and_then(|t| t.f_contiguous()).map_err(engine)?;
        let mut logits = vec![0.0; output.numel()];
        output.f_copy_data(&mut logits, output.numel()).map_err(engine)?;
        Ok(logits)
    }

    fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError> {
        self.dropout = seed.map(AtomicU64::new);
        if seed.is_some() { self.module.f_set_train() } else { self.module.f_set_eval() }.map_err(engine)
    }
}

/// Has the C library keep the memory that networks give back, for the next layer asks for as much: else every layer's memory comes from the system
/// anew, page by page, which takes a fifth of a small network's time. Blocks of 128 MiB and more still go back at once.
///
/// Call it before there are threads. Where the C library is not glibc nothing happens.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: libc::c_int = 1 << 20;
        // One arena: those of other threads than the first hold no blocks beyond 64 MiB.
        let options =
            [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, 128 * MIB), (libc::M_TRIM_THRESHOLD, 512 * MIB), (libc::M_TOP_PAD, 64 * MIB)];
        for (option, value) in options {
            // A C library that refuses an option stays as it is: slower, not wrong.
            #[expect(unsafe_code, reason = "the allocator is libtorch's too, and only C reaches it")]
            // SAFETY: takes two numbers; called before there are threads.
            unsafe {
                libc::mallopt(option, value)
            };
        }
    }
}

/// How many threads libtorch computes with.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1).max(1));
}

/// What a choice means on this machine, such as `cpu` or `cuda:0`.
///
/// # Errors
/// [`NetworkError::NoDevice`].
pub fn device_name(choice: DeviceChoice) -> Result<String, NetworkError> {
    Ok(match device(choice)? {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    })
}

fn device(choice: DeviceChoice) -> Result<Device, NetworkError> {
    let devices = usize::try_from(Cuda::device_count()).unwrap_or(0);
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(if devices > 0 { Device::Cuda(0) } else { Device::Cpu }),
        DeviceChoice::Cuda(number) if number < devices => Ok(Device::Cuda(number)),
        DeviceChoice::Cuda(_) => Err(NetworkError::NoDevice(choice)),
    }
}

impl From<tch::TchError> for NetworkError {
    fn from(error: tch::TchError) -> Self {
        engine(error)
    }
}

/// TorchScript errors carry the whole program; the first lines say what happened.
fn engine(error: tch::TchError) -> NetworkError {
    let text = error.to_string();
    let end = text.char_indices().nth(400).map_or(text.len(), |(at, _)| at);
    NetworkError::Engine(text[..end].to_owned())
}
