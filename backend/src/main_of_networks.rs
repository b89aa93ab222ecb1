//! `i3deep-worker`: the program that runs networks, which `i3deep` starts and becomes.

fn main() -> std::process::ExitCode {
    i3deep::commands::main_of_networks()
}
