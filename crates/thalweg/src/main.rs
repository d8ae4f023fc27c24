//! The command line of Thalweg. It must not know how anything is done.

mod cli;

/// Many small batches live and die on different threads: the system's allocator would be the bottleneck.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
