//! `cargo xtask`: everything around the build. Parses the command line and turns errors into exit codes.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::workspace::Workspace;
use xtask::{
    check_change, check_ranks, check_targets, check_tensorboard, check_weights, cuda_kernels, dist,
    doctor, failure, fetch, golden, gpu_kit, gpu_report, minimum_rust, peers, public_api, sanitize,
    test, test_aarch64, test_outside, tidy, train,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let workspace = Workspace::of_this_checkout();
    let result = match cli.command {
        Command::Fetch(args) => fetch::run(&workspace, &args),
        Command::Doctor => doctor::run(&workspace),
        Command::Test(args) => test::run(&workspace, &args),
        Command::MinimumRust => minimum_rust::run(&workspace),
        Command::PublicApi(args) => public_api::run(&workspace, &args),
        Command::CheckTargets => check_targets::run(&workspace),
        Command::TestAarch64(args) => test_aarch64::run(&workspace, &args),
        Command::Sanitize(args) => sanitize::run(&workspace, &args),
        Command::TestOutside(args) => test_outside::run(&workspace, &args),
        Command::Tidy => tidy::run(&workspace),
        Command::Train(args) => train::run(&workspace, &args),
        Command::Dist(args) => dist::run(&workspace, &args),
        Command::Golden(args) => golden::run(&workspace, &args),
        Command::CudaKernels(args) => cuda_kernels::run(&workspace, &args),
        Command::GpuKit(args) => gpu_kit::run(&workspace, &args),
        Command::GpuReport(args) => gpu_report::run(&workspace, &args),
        Command::Peers(args) => peers::run(&workspace, &args),
        Command::CheckTensorboard(args) => check_tensorboard::run(&workspace, &args),
        Command::CheckChange(args) => check_change::run(&workspace, &args),
        Command::CheckRanks(args) => check_ranks::run(&workspace, &args),
        Command::CheckWeights(args) => check_weights::run(&workspace, &args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::from(failure::exit_code(&err))
        }
    }
}
