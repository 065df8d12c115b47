//! Fetching under every fault that we could think of, and the commands as a user runs them.

mod archives;
mod check_tensorboard;
mod command_line;
mod concurrent;
mod download;
mod gpu_kit;
mod gpu_report;
mod hostile_tar;
mod hostile_zip;
mod killed;
mod libtorch;
mod orchestration;
mod peers;
mod server;
mod tidy;
