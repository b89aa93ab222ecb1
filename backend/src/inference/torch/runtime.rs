//! libtorch's settings for the whole process: memory, threads, devices.

use tch::{Cuda, Device};

use crate::inference::{DeviceChoice, NetworkError};

/// Has the C library keep the memory that networks give back, for the next layer asks for as much: else every layer's
/// memory comes from the system anew, page by page, which takes a fifth of a small network's time. Blocks of 128 MiB
/// and more still go back at once.
///
/// Call it before there are threads. Where the C library is not glibc nothing happens.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: libc::c_int = 1 << 20;
        // One arena: those of other threads than the first hold no blocks beyond 64 MiB.
        let options = [
            (libc::M_ARENA_MAX, 1),
            (libc::M_MMAP_THRESHOLD, 128 * MIB),
            (libc::M_TRIM_THRESHOLD, 512 * MIB),
            (libc::M_TOP_PAD, 64 * MIB),
        ];
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

pub(super) fn device(choice: DeviceChoice) -> Result<Device, NetworkError> {
    let devices = usize::try_from(Cuda::device_count()).unwrap_or(0);
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(if devices > 0 { Device::Cuda(0) } else { Device::Cpu }),
        DeviceChoice::Cuda(number) if number < devices => Ok(Device::Cuda(number)),
        DeviceChoice::Cuda(_) => Err(NetworkError::NoDevice(choice)),
    }
}

/// What is known of libtorch.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its version.
    pub version: &'static str,
    /// Threads that it computes with.
    pub threads: usize,
    /// Whether it was built for CUDA.
    pub cuda: bool,
    /// CUDA devices that it finds.
    pub devices: usize,
}

/// What is known of libtorch; None where the program was built without.
pub fn report() -> Option<Report> {
    Some(Report {
        version: crate::bundle::TORCH_VERSION,
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
        cuda: tch::utils::has_cuda(),
        devices: usize::try_from(Cuda::device_count()).unwrap_or(0),
    })
}

/// Whether the processor has instructions for bfloat16, without which it is slower than single precision.
pub fn computes_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
