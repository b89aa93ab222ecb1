//! `i3deep`: arguments → parts → run.

fn main() -> std::process::ExitCode {
    i3deep::commands::main()
}
